"""Attentions in the place of the dual attention fusion."""

import pytest
import torch
import torch.nn.functional as F
from mmagic.registry import MODELS

FEATURE = torch.rand(2, 20, 8, 6, generator=torch.Generator().manual_seed(0))


def build(attention):
    torch.manual_seed(1)
    head = MODELS.build(dict(type='AttentionHead', in_channels=20, attention=attention))
    head.init_weights()
    return head


@pytest.mark.parametrize('attention', ['se', 'cbam', 'non_local'])
def test_image_is_a_convolution_of_the_attended_feature_and_learns(attention):
    head = build(attention)
    image = head(FEATURE, torch.zeros(2, 3, 16, 12))
    torch.testing.assert_close(
        image, torch.einsum('oc,nchw->nohw', head.to_image.weight[..., 0, 0], head.attention(FEATURE))
        + head.to_image.bias[:, None, None]
    )  # fmt: skip
    image.square().sum().backward()
    assert any(weight.grad.abs().sum() > 0 for weight in head.attention.parameters())


def test_cbam_is_the_formula():
    cbam = build('cbam').attention

    def mlp(z):
        first, _, second = cbam.mlp
        return (z @ first.weight[..., 0, 0].T + first.bias).clamp(min=0) @ second.weight[..., 0, 0].T + second.bias

    gate = (mlp(FEATURE.flatten(2).mean(2)) + mlp(FEATURE.flatten(2).max(2).values)).sigmoid()
    gated = FEATURE * gate[..., None, None]
    seen = torch.stack((gated.mean(1), gated.max(1).values), 1)
    expected = gated * F.conv2d(seen, cbam.places.weight, cbam.places.bias, padding=3).sigmoid()
    torch.testing.assert_close(cbam(FEATURE), expected)


def test_non_local_attention_starts_as_the_identity():
    assert torch.equal(build('non_local').attention(FEATURE), FEATURE)


def test_unknown_attention_is_refused():
    with pytest.raises(ValueError, match="are se, cbam, non_local, got 'eca'"):
        build('eca')

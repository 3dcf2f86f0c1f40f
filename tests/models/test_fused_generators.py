"""Dual attention fusion in MMagic's generators."""

from copy import deepcopy

import pytest
import torch
from mmagic.registry import MODELS
from torch import nn

AOT = dict(
    type='AOTEncoderDecoder',
    encoder=dict(type='AOTEncoder', mid_channels=8, out_channels=16),
    dilation_neck=dict(type='AOTBlockNeck', in_channels=16, num_aotblock=1),
    decoder=dict(type='AOTDecoder', in_channels=16, mid_channels=8),
)
AOT_FEATURES = ['decoder.decoder.1', 'decoder.decoder.0', 'dilation_neck']
GLOBAL_LOCAL = dict(
    type='GLEncoderDecoder',
    encoder=dict(type='GLEncoder', norm_cfg=dict(type='BN')),
    dilation_neck=dict(type='GLDilationNeck', norm_cfg=dict(type='BN')),
    decoder=dict(type='GLDecoder', norm_cfg=dict(type='BN')),
)
PCONV = dict(
    type='PConvEncoderDecoder',
    encoder=dict(type='PConvEncoder', num_layers=5),
    decoder=dict(type='PConvDecoder', num_layers=5),
)
GATED = dict(conv_type='gated_conv', channel_factor=0.25)
DEEPFILL = dict(
    type='DeepFillEncoderDecoder',
    stage1=dict(
        type='GLEncoderDecoder',
        encoder=dict(type='DeepFillEncoder', **GATED),
        dilation_neck=dict(type='GLDilationNeck', in_channels=32, conv_type='gated_conv', act_cfg=dict(type='ELU')),
        decoder=dict(type='DeepFillDecoder', in_channels=32, **GATED),
    ),
    stage2=dict(
        type='DeepFillRefiner',
        encoder_attention=dict(type='DeepFillEncoder', encoder_type='stage2_attention', **GATED),
        encoder_conv=dict(type='DeepFillEncoder', encoder_type='stage2_conv', **GATED),
        dilation_neck=dict(type='GLDilationNeck', in_channels=32, conv_type='gated_conv', act_cfg=dict(type='ELU')),
        contextual_attention=dict(type='ContextualAttentionNeck', in_channels=32, conv_type='gated_conv'),
        decoder=dict(type='DeepFillDecoder', in_channels=64, **GATED),
    ),
)
FINEST = dict(
    aot=dict(generator=AOT, features=AOT_FEATURES[:1]),
    global_local=dict(generator=GLOBAL_LOCAL, features=['decoder.dec6']),
    deepfill=dict(generator=DEEPFILL, features=['stage2.decoder.dec6'], form='view_with_ones'),
    pconv=dict(generator=PCONV, features=['decoder.dec1'], form='pair', place=0),
)


def build(**kwargs):
    torch.manual_seed(0)
    return MODELS.build(dict(dict(type='FusedGenerator'), **kwargs))


def inputs_of(form='view', size=64):
    generator = torch.Generator().manual_seed(1)
    mask = (torch.rand(2, 1, size, size, generator=generator) > 0.7).float()
    image = (torch.rand(2, 3, size, size, generator=generator) * 2 - 1) * (1 - mask)
    if form == 'pair':
        return image, (1 - mask).expand_as(image).contiguous()
    return (torch.cat((image, torch.ones_like(mask), mask) if form == 'view_with_ones' else (image, mask), 1),)


def flat(outputs):
    return list(outputs) if isinstance(outputs, list | tuple) else [outputs]


@pytest.mark.parametrize('training', [False, True])
@pytest.mark.parametrize('name', FINEST)
def test_without_a_fusion_it_is_the_generator_bit_for_bit(name, training):
    options = FINEST[name]
    torch.manual_seed(0)
    alone = MODELS.build(options['generator'])
    states = torch.get_rng_state()
    wrapped = build(**options, fusion=None, output='finest')
    assert torch.equal(states, torch.get_rng_state()), 'looking at the features draws no random number'
    assert wrapped.generator.state_dict().keys() == alone.state_dict().keys()
    for key, value in alone.state_dict().items():
        assert torch.equal(wrapped.generator.state_dict()[key], value), key
    assert all(module.training for module in wrapped.modules()), 'it is left in the mode that it was built in'
    assert all(weight.requires_grad for weight in wrapped.parameters())
    inputs = inputs_of(options.get('form', 'view'))
    with torch.no_grad():
        ours, own = (flat(network.train(training)(*inputs)) for network in (wrapped, alone))
    assert len(ours) == len(own)
    assert all(torch.equal(one, other) for one, other in zip(ours, own, strict=True))


@pytest.mark.parametrize('name', FINEST)
def test_fused_image_takes_the_place_of_the_generators_own(name):
    options = FINEST[name]
    wrapped = build(**options, output='finest').eval()
    inputs = inputs_of(options.get('form', 'view'))
    seen = []
    layer = wrapped.generator.get_submodule(options['features'][0])
    handle = layer.register_forward_hook(
        lambda module, args, result: seen.append(result[0] if isinstance(result, tuple) else result)
    )
    with torch.no_grad():
        own, ours = flat(wrapped.generator(*inputs)), flat(wrapped(*inputs))
        expected = wrapped.fusions[0](seen[-1], inputs[0][:, :3])
    handle.remove()
    place = options.get('place', -1)
    assert torch.equal(ours[place], expected)
    assert ours[place].shape == own[place].shape
    assert not torch.equal(ours[place], own[place])
    untouched = [index for index in range(len(own)) if index != place % len(own)]
    assert all(torch.equal(ours[index], own[index]) for index in untouched)


def test_all_scales_come_finest_first_and_train_generator_and_fusions():
    wrapped = build(generator=AOT, features=AOT_FEATURES)
    assert [fusion.to_image.in_channels for fusion in wrapped.fusions] == [4, 8, 16]
    outputs = wrapped(*inputs_of())
    assert [tuple(output.shape[1:]) for output in outputs] == [(3, 64, 64), (3, 32, 32), (3, 16, 16)]
    assert wrapped.num_scales == 3
    sum(output.square().mean() for output in outputs).backward()
    # the last convolution of the generator makes its own image, which the fused ones replace
    unused = ['generator.decoder.decoder.2.conv.weight', 'generator.decoder.decoder.2.conv.bias']
    assert [name for name, weight in wrapped.named_parameters() if weight.grad is None] == unused
    assert [name for name, weight in wrapped.named_parameters() if not weight.requires_grad] == unused


@pytest.mark.parametrize('form', ['view_with_ones', 'pair'])
def test_view_of_four_channels_is_brought_to_the_form(form):
    options = FINEST[dict(view_with_ones='deepfill', pair='pconv')[form]]
    wrapped = build(**options).eval()
    with torch.no_grad():
        (ours,), (same,) = wrapped(*inputs_of()), wrapped(*inputs_of(form))
    assert torch.equal(ours, same)


def test_fusions_see_an_empty_hole_whatever_the_generator_is_given():
    wrapped = build(generator=AOT, features=AOT_FEATURES[:1], output='finest').eval()
    (view,) = inputs_of()
    filled = torch.cat((view[:, :3] + view[:, 3:], view[:, 3:]), 1)
    seen = []
    wrapped.fusions[0].register_forward_pre_hook(lambda module, args: seen.append(args[1]))
    with torch.no_grad():
        wrapped(filled)
    assert torch.equal(seen[0], view[:, :3])


def test_copy_looks_at_its_own_layers():
    wrapped = build(generator=AOT, features=AOT_FEATURES[:1], output='finest').eval()
    inputs = inputs_of()
    with torch.no_grad():
        before = wrapped(*inputs)
        copy = deepcopy(wrapped)
        for weight in copy.generator.parameters():
            weight.zero_()
        assert torch.equal(wrapped(*inputs), before)
        assert not torch.equal(copy(*inputs), before)


def test_nothing_is_held_between_calls():
    wrapped = build(generator=AOT, features=AOT_FEATURES)
    wrapped(*inputs_of())
    assert not any(module._forward_hooks for module in wrapped.modules())
    assert not any(isinstance(value, torch.Tensor) for value in vars(wrapped).values())


class Shapes(nn.Module):
    """A generator with layers that put out no feature maps."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(4, 3, 3, padding=1)
        self.flat = nn.Flatten()
        self.idle = nn.Identity()

    def forward(self, x):
        image = self.conv(x)
        self.flat(image)
        return image


MODELS.register_module(name='ShapesForTest', module=Shapes, force=True)


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (dict(generator=AOT, features=['decoder.decodr.1']), r"no part 'decoder.decodr.1'.*decoder\.decoder\.1"),
        (dict(generator=AOT, features=AOT_FEATURES[1:]), 'makes decoder.decoder.0: 32x32, dilation_neck: 16x16'),
        (dict(generator=AOT, features=['decoder.decoder.1', 'dilation_neck', 'encoder']), 'each scale once'),
        (dict(generator=AOT, features=['decoder.decoder.1.conv']), 'is written into by a later layer'),
        (dict(generator=AOT, features=AOT_FEATURES, output='finest'), "the 'finest' output one alone"),
        (dict(generator=AOT, features=[]), 'different features, finest first'),
        (dict(generator=AOT, features=AOT_FEATURES, form='view_with_ones'), 'first convolution of AOTEncoderDecoder'),
        (dict(generator=AOT, features=AOT_FEATURES, form='image'), "got 'image'"),
        (dict(generator=AOT, features=AOT_FEATURES, output='some'), "got 'some'"),
        (dict(generator=PCONV, features=['decoder.dec1'], form='pair', probe_size=20), 'set probe_size'),
        (dict(generator=dict(type='ShapesForTest'), features=['flat']), r'not a feature map of \(N, C, h, w\)'),
        (dict(generator=dict(type='ShapesForTest'), features=['idle']), "does not use its submodule 'idle'"),
    ],
)
def test_what_cannot_work_is_told_when_it_is_built(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        build(**options)

"""Stage 1 without contrast: SimSiam and masked auto-encoding over CAINet's encoder."""

import pytest
import torch
from conftest import ROOT
from mmagic.registry import MODELS
from mmagic.structures import DataSample
from mmengine.config import Config

from cainet_mm.utils.checkpoint_io import load_strict


def make_batch(size=64, batch=2):
    """Images as a loader hands them over, and a hole of its own for query and key of each."""
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, size, size), generator=generator, dtype=torch.uint8) for _ in range(batch)]
    samples = []
    for index in range(batch):
        masks = torch.zeros(2, 1, size, size)
        masks[0, :, 10:30, 5 + index : 40] = 1
        masks[1, :, 40:, :20] = 1
        samples.append(DataSample(mask_q=masks[0], mask_k=masks[1]))
    return dict(inputs=images, data_samples=samples)


def load_model(name):
    torch.manual_seed(0)
    return MODELS.build(Config.fromfile(ROOT / f'configs/photos/{name}.py').model)


@pytest.mark.parametrize('centred', [False, True])
def test_view_and_target_are_one_picture_but_for_the_hole(centred):
    model = load_model('stage1_64_masked_autoencoder')
    model.data_preprocessor.centred = centred
    batch = make_batch()
    view, target = model.data_preprocessor(batch, training=True)['inputs']
    known = (1 - view[:, 3:]).bool().expand_as(target)
    torch.testing.assert_close(view[:, :3][known], target[known], rtol=0, atol=1e-6)
    assert (view[:, :3] - target)[~known].abs().mean() > 0.1
    # the target is the image, less one colour
    image = torch.stack(batch['inputs']).flip(1).float() / 127.5 - 1  # BGR, as it is loaded
    shift = (image - target).flatten(2)
    assert shift.std(dim=2).max() < 1e-6 and (shift.abs().max() > 1e-3) == centred


def test_loss_is_the_mean_error_in_the_hole():
    model = load_model('stage1_64_masked_autoencoder').double()
    view, target = (part.double() for part in model.data_preprocessor(make_batch())['inputs'])
    loss = model([view, target], None, mode='loss')['loss']
    restored = model.neck(model.backbone(view)[-1])
    in_hole = view[:, 3:].bool().expand_as(target)
    torch.testing.assert_close(loss, (restored - target).abs()[in_hole].mean())


@pytest.mark.parametrize('name', ['stage1_64_simsiam', 'stage1_64_masked_autoencoder'])
def test_every_layer_learns_and_the_encoder_fits_stage_2(name):
    model = load_model(name).train()
    data = model.data_preprocessor(make_batch(), training=True)
    model(**data, mode='loss')['loss'].backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in model.backbone.parameters())
    stage2 = MODELS.build(Config.fromfile(ROOT / 'configs/photos/stage2_64.py').model.encdec.encoder)
    load_strict(stage2, model.backbone.state_dict(), name)

"""Every part builds by its name alone, in whichever OpenMMLab package the default scope is."""

import cv2
import mmengine.registry
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope, Registry

import cainet_mm  # noqa: F401  (registers the parts)

ENCODER = dict(type='CAINetEncoder', widths=(4, 4), kernels=(3, 3))
DECODER = dict(type='CAINetDecoder', num_scales=1)
PREPROCESSOR = dict(type='mmagic.DataPreprocessor')
NECK = dict(type='mmpretrain.LinearNeck', in_channels=4, out_channels=4)
ENCODER_DECODER = dict(type='CAINetEncoderDecoder', encoder=ENCODER, decoder=DECODER)
CRITIC = dict(type='CAINetCritic', widths=(4,))
HEAD = dict(type='mmpretrain.ContrastiveHead', loss=dict(type='mmpretrain.CrossEntropyLoss'))

# what has to be said beside the name, or keeps the test from fetching weights
LEAST = dict(
    AlphaFusion=dict(in_channels=4),
    AttentionHead=dict(in_channels=16, attention='se'),
    AttentionDecoderStage=dict(in_channels=4, out_channels=4),
    AttentionEncoderStage=dict(in_channels=4, mask_channels=4, out_channels=4),
    CAINetDecoder=dict(skip_channels=(4, 4, 4), num_scales=1),
    CAINetEncoderDecoder=dict(encoder=ENCODER, decoder=DECODER),
    CAINetInpaintor=dict(data_preprocessor=PREPROCESSOR, encdec=ENCODER_DECODER, losses={}),
    ChannelAttention=dict(channels=4),
    ClassicalInpaintor=dict(method='telea', data_preprocessor=PREPROCESSOR),
    DrawBoxes=dict(size=(64, 64)),
    DualAttentionFusion=dict(in_channels=4),
    FastFourierConv=dict(in_channels=4, out_channels=4),
    FourierBlock=dict(channels=8),
    FourierUnit=dict(channels=4),
    HighReceptiveFieldLoss=dict(weights=None),
    HolePSNRHook=dict(beside={}),
    GlobalLocalCritic=dict(global_critic=CRITIC, local_critic=CRITIC),
    HoleBox=dict(size=(8, 8)),
    ImageHead=dict(in_channels=4),
    LoadPartHook=dict(part='generator', checkpoint='weights.pth'),
    MaskAttention=dict(in_channels=4, out_channels=4),
    MaskedAutoencoder=dict(backbone=ENCODER, data_preprocessor=dict(type='MaskedViewPreprocessor')),
    MultiScaleLoss=dict(loss=dict(type='DilatedTVLoss')),
    PhotoDataset=dict(data_root='photos'),
    PhotoMaskDataset=dict(data_root='photos', mask_root='masks'),
    ResumableDataset=dict(dataset=dict(type='SamplePhotos')),
    ResumableSampler=dict(dataset=[0], sampler=dict(type='DefaultSampler', shuffle=False), batch_size=1),
    RandomPlainPicture=dict(keys='gt', prob=0.5),
    RandomTint=dict(keys='gt'),
    SeededByImage=dict(transforms=[dict(type='LoadHole')]),
    SpectralTransform=dict(in_channels=4, out_channels=4),
    SiameseMoCo=dict(backbone=ENCODER, neck=NECK, head=HEAD),
    TextureLoss=dict(vgg=None),
    UnitRangeGenerator=dict(generator=ENCODER_DECODER),
    VGGPerceptualLoss=dict(layer_weights={'0': 1.0}, vgg_type='vgg16', pretrained=None),
    ViewEncoder=dict(encoder=ENCODER, form='view'),
)
# names of version 0.2
LEAST.update(PositionedDataset=LEAST['ResumableDataset'], PositionedSampler=LEAST['ResumableSampler'])
# of a run, whose runner builds them with its loader and its process group; and what takes a whole generator or critic
OF_A_RUN = {'FeatureMatchingInpaintor', 'FusedGenerator', 'ResumableTrainLoop', 'SplitDistributedDataParallel'}
# their weights are files that others publish
NEED_FILES = {'InceptionFID', 'LPIPS'}


def registered():
    """The parts of this package, by name: the registry of each."""
    registries = [each for each in vars(mmengine.registry).values() if isinstance(each, Registry)]
    return {
        name: registry
        for registry in registries
        if registry.scope == 'mmengine'
        for name, part in registry.module_dict.items()
        if part.__module__.startswith('cainet_mm')
    }


@pytest.mark.parametrize('scope', ['mmagic', 'mmpretrain', 'mmengine'])
def test_every_part_builds_by_its_name(scope, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    for folder, value in (('photos', 90), ('masks', 255)):
        (tmp_path / folder).mkdir()
        cv2.imwrite(f'{folder}/1.png', np.full((8, 8, 3), value, np.uint8))
    (tmp_path / 'masks.txt').write_text('1.png\n')
    (tmp_path / 'coco.json').write_text('{"images": [], "annotations": [], "categories": []}')
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    least = LEAST | dict(
        CPUAmpOptimWrapper=dict(optimizer=optimizer, even_if_slow=True),
        LoadHoleFromSet=dict(mask_list_file='masks.txt', prefix='masks'),
        LoadHoleOfObjects=dict(annotations='coco.json'),
    )
    parts = registered()
    assert least.keys() | OF_A_RUN | NEED_FILES <= parts.keys()
    failed = {}
    for name in sorted(parts.keys() - OF_A_RUN):
        try:
            with DefaultScope.overwrite_default_scope(scope):
                parts[name].build(dict(type=name, **least.get(name, {})))
        except FileNotFoundError as error:
            if name not in NEED_FILES or 'needs the weights' not in str(error):
                failed[name] = error
        except Exception as error:  # all that fail are told at once
            failed[name] = error
    assert not {name: str(error)[:150] for name, error in failed.items()}

# Joint training as in quickstart/stage2.py, without stage 1, in MMEngine's pure-Python style.
from mmagic.datasets.transforms import Crop, Flip, GetMaskedImage, LoadMask, PackInputs
from mmagic.engine.runner import MultiTestLoop, MultiValLoop
from mmagic.evaluation import MAE, PSNR, SSIM
from mmengine.config import read_base
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.hooks import CheckpointHook, DistSamplerSeedHook, IterTimerHook, LoggerHook, ParamSchedulerHook
from mmengine.runner import IterBasedTrainLoop, LogProcessor
from torch.optim import Adam

from cainet_mm.datasets import RandomTint, SamplePhotos, SeededByImage
from cainet_mm.evaluation import HolePSNR

with read_base():
    from .pure_python_model import *  # noqa: F403

custom_imports = dict(imports=['cainet_mm'], allow_failed_imports=False)
default_scope = 'mmagic'

rectangles = dict(
    type=LoadMask,
    mask_mode='bbox',
    mask_config=dict(img_shape=(64, 64), max_bbox_shape=32, max_bbox_delta=10, min_margin=5),
)
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    drop_last=True,
    sampler=dict(type=InfiniteSampler, shuffle=True),
    dataset=dict(
        type=SamplePhotos,
        split='train',
        short_side=96,
        pipeline=[
            dict(type=Crop, keys=['gt'], crop_size=(64, 64), random_crop=True),
            dict(type=Flip, keys=['gt'], direction='horizontal'),
            dict(type=RandomTint, keys=['gt'], gain=(0.7, 1.1), offset=(-20.0, 30.0)),
            rectangles,
            dict(type=GetMaskedImage),
            dict(type=PackInputs),
        ],
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    drop_last=False,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        type=SamplePhotos,
        split='test',
        short_side=96,
        crop_size=64,
        crops_per_photo=8,
        test_mode=True,
        pipeline=[
            dict(type=SeededByImage, transforms=[rectangles]),
            dict(type=GetMaskedImage),
            dict(type=PackInputs),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type=MAE), dict(type=PSNR), dict(type=SSIM), dict(type=HolePSNR)]
test_evaluator = val_evaluator
val_cfg = dict(type=MultiValLoop)
test_cfg = dict(type=MultiTestLoop)

max_iters = 600
train_cfg = dict(type=IterBasedTrainLoop, max_iters=max_iters, val_interval=max_iters // 2)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type=Adam, lr=3e-3)),
    disc=dict(type='OptimWrapper', optimizer=dict(type=Adam, lr=1e-3, betas=(0.5, 0.9))),
)
default_hooks = dict(
    timer=dict(type=IterTimerHook),
    logger=dict(type=LoggerHook, interval=50),
    param_scheduler=dict(type=ParamSchedulerHook),
    checkpoint=dict(type=CheckpointHook, interval=max_iters // 2, by_epoch=False),
    sampler_seed=dict(type=DistSamplerSeedHook),
)
log_processor = dict(type=LogProcessor, by_epoch=False)
randomness = dict(seed=0)

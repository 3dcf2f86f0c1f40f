# Joint training of encoder, decoder and fusions, small enough for two cores, from quickstart/stage1.py's weights.
_base_ = [
    '../_base_/models/cainet.py',
    '../_base_/models/thin_encoder.py',
    '../_base_/datasets/sample_photos.py',
    '../_base_/default_runtime.py',
]

stage1_checkpoint = 'work_dirs/stage1/iter_400.pth'  # where tools/train.py puts it

model = dict(
    encdec=dict(
        encoder=dict(
            **_base_.thin_encoder,
            init_cfg=dict(type='Pretrained', checkpoint=stage1_checkpoint, prefix='backbone.'),
        ),
        decoder=dict(
            out_channels=(16, 24, 32, 48, 64, 96),
            norm_cfg=_base_.thin_norm,
            fusion=dict(hidden_channels=8, norm_cfg=_base_.thin_norm),
        ),
    ),
    # The perceptual and style terms need VGG-16's weights, a download of 528 MB, and most of a step's time on a CPU.
    losses=dict(texture=None),
    # full-size critics cost the most, and at 64 pixels show the least
    critic_scales=(2, 3),
    disc=dict(widths=(8, 16, 32), kernel_size=3),
)
custom_hooks = [dict(type='ChannelsLastHook')]

max_iters = 3600
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters, val_interval=max_iters // 2)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=3e-3)),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.9))),
)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, end=max_iters),
]

default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(interval=max_iters // 2),
)
randomness = dict(seed=0)

# LBAM on the embedded photographs, thin enough for two cores.
_base_ = [
    '../../_base_/models/lbam.py',
    '../../_base_/datasets/sample_photos.py',
    '../../_base_/default_runtime.py',
]

model = dict(
    encdec=dict(
        generator=dict(
            widths=(16, 24, 32, 48),
            # a thin layer adds up few inputs: with LBAM's 0.02 next to nothing would arrive at the deepest
            init_cfg=dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.1),
        )
    ),
    # The perceptual and style terms need VGG-16's weights, a download of 528 MB, and most of a step's time on a CPU.
    losses=dict(texture_output=None, texture_composed=None),
    disc=dict(column=dict(widths=(8, 16, 32), kernel_size=3)),
    # next to L1 alone, LBAM's weight would leave the critic to say what the known pixels are
    loss_gan=dict(loss_weight=0.001),
)
custom_hooks = [dict(type='ChannelsLastHook')]

max_iters = 600
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters // 2)
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

# Joint training of the network of configs/photos, thinner, on the embedded photographs, from compact_stage1.py's
# weights; some minutes on two cores.
_base_ = [
    '../_base_/models/cainet_photos.py',
    '../_base_/datasets/sample_photos.py',
    '../_base_/schedules/photos_stage2.py',
    '../_base_/default_runtime.py',
]

stage1_checkpoint = 'work_dirs/quickstart/stage1/iter_400.pth'  # where tools/quickstart.sh puts it

model = dict(
    encdec=dict(
        encoder=dict(
            widths=(16, 32, 48, 64, 96, 128),
            kernels=(3, 3, 3, 3, 3, 3),
            init_cfg=dict(type='Pretrained', checkpoint=stage1_checkpoint, prefix='backbone.'),
        ),
        decoder=dict(out_channels=(12, 24, 32, 48, 64, 96)),
        hole_fill=dict(iterations=10),
    ),
    # full-size critics cost the most, and at 64 pixels show the least
    disc=dict(widths=(8, 16, 32)),
    train_cfg=dict(penalty_interval=4),
)

max_iters = 1200
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 2)
custom_hooks = [
    dict(type='ChannelsLastHook'),
    # the mean over some hundred steps: earlier ones are far from the end of so short a training
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.005),
]
optim_wrapper = dict(
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.9))),
)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=10),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=10, end=max_iters, eta_min_ratio=0.01),
]

default_hooks = dict(
    logger=dict(interval=100),
    checkpoint=dict(interval=max_iters // 2),
)
randomness = dict(seed=0)

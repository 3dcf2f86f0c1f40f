# Joint training of encoder, decoder and fusions, small enough for two cores, from quickstart/stage1.py's weights.
_base_ = [
    '../_base_/models/cainet.py',
    '../_base_/datasets/sample_photos.py',
    '../_base_/default_runtime.py',
]

stage1_checkpoint = 'work_dirs/quickstart/stage1/iter_120.pth'  # where tools/quickstart.sh puts it

model = dict(
    encdec=dict(
        encoder=dict(
            widths=(32, 64, 96, 128, 128, 128),
            kernels=(5, 5, 3, 3, 3, 3),
            init_cfg=dict(type='Pretrained', checkpoint=stage1_checkpoint, prefix='backbone.'),
        ),
        decoder=dict(
            out_channels=(16, 32, 64, 96, 128, 128),
            fusion=dict(hidden_channels=16),
        ),
    ),
    # The perceptual and style terms need VGG-16's weights, a download of 528 MB, and most of a step's time on a CPU.
    losses=dict(texture=None),
    disc=dict(widths=(16, 32, 64, 64), kernel_size=3),
)

max_iters = 400
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters // 2)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.9))),
)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters)

default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=max_iters // 2),
)
randomness = dict(seed=0)

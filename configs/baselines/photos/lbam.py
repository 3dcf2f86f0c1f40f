# LBAM, thin, on a folder of photographs.
_base_ = [
    '../../_base_/models/lbam.py',
    '../../_base_/datasets/photo_folder_64.py',
    '../../_base_/photos_runtime.py',
]

model = dict(
    encdec=dict(
        generator=dict(
            widths=(24, 48, 96, 128, 128),
            # a thin layer adds up few inputs: with LBAM's 0.02 next to nothing would arrive at the deepest
            init_cfg=dict(type='Normal', layer=['Conv2d', 'ConvTranspose2d'], std=0.1),
        )
    ),
    # VGG-16's weights are a download of 528 MB
    losses=dict(texture_output=None, texture_composed=None),
    disc=dict(column=dict(widths=(8, 16, 32), kernel_size=3)),
    # next to L1 alone, LBAM's weight would leave the critic to say what the known pixels are
    loss_gan=dict(loss_weight=0.001),
)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.9))),
)

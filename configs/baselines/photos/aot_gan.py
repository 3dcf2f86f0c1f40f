# AOT-GAN, thinner and half as deep, on a folder of photographs.
_base_ = [
    '../../_base_/models/aot_gan.py',
    '../../_base_/datasets/photo_folder_64.py',
    '../../_base_/photos_runtime.py',
]

model = dict(
    encdec=dict(
        encoder=dict(mid_channels=24, out_channels=96),
        dilation_neck=dict(in_channels=96, num_aotblock=4),
        decoder=dict(in_channels=96, mid_channels=48),
    ),
    disc=dict(base_channels=16),
    # VGG-19's weights are a download of 548 MB
    loss_composed_percep=None,
    loss_out_percep=False,
)
optim_wrapper = dict(generator=dict(optimizer=dict(lr=1e-3)), disc=dict(optimizer=dict(lr=1e-3)))

# AOT-GAN, thinner and half as deep, on the quickstart's photographs: shows that it trains, not what it can do.
_base_ = [
    '../../_base_/models/aot_gan.py',
    '../../_base_/datasets/sample_photos.py',
    '../../_base_/smoke_runtime.py',
]

model = dict(
    encdec=dict(
        encoder=dict(mid_channels=16, out_channels=64),
        dilation_neck=dict(in_channels=64, num_aotblock=4),
        decoder=dict(in_channels=64, mid_channels=32),
    ),
    disc=dict(base_channels=16),
    # VGG-19's weights are a download of 548 MB
    loss_composed_percep=None,
    loss_out_percep=False,
)
optim_wrapper = dict(generator=dict(optimizer=dict(lr=1e-3)), disc=dict(optimizer=dict(lr=1e-3)))

# DeepFillv2, a quarter as wide, on the quickstart's photographs: shows that it trains, not what it can do.
_base_ = [
    '../../_base_/models/deepfillv2.py',
    '../../_base_/datasets/sample_photos.py',
    '../../_base_/smoke_runtime.py',
]

# the widest dilation reaches as far as 64-pixel images are large at this depth, too far to reflect them
dilation_neck = dict(in_channels=32, padding_mode='zeros')
model = dict(
    encdec=dict(
        stage1=dict(
            encoder=dict(channel_factor=0.25),
            dilation_neck=dilation_neck,
            decoder=dict(channel_factor=0.25, in_channels=32),
        ),
        stage2=dict(
            encoder_attention=dict(channel_factor=0.25),
            encoder_conv=dict(channel_factor=0.25),
            dilation_neck=dilation_neck,
            contextual_attention=dict(in_channels=32),
            decoder=dict(channel_factor=0.25, in_channels=64),
        ),
    ),
    disc=dict(max_channels=64, num_convs=4),
)
optim_wrapper = dict(generator=dict(optimizer=dict(lr=1e-3)), disc=dict(optimizer=dict(lr=1e-3)))

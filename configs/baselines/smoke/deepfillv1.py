# DeepFillv1, a quarter as wide, on the quickstart's photographs: shows that it trains, not what it can do.
_base_ = [
    '../../_base_/models/deepfillv1.py',
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
    disc=dict(
        global_disc_cfg=dict(max_channels=64, fc_in_channels=64 * 4 * 4),
        local_disc_cfg=dict(max_channels=64, fc_in_channels=64 * 2 * 2),
    ),
    # one update of the critics for one of the generator: five leave the generator 120 updates in 600 iterations
    train_cfg=dict(disc_step=1, local_size=(32, 32)),
)
optim_wrapper = dict(generator=dict(optimizer=dict(lr=1e-3)), disc=dict(optimizer=dict(lr=1e-3)))

# the window that the local critic looks at
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.train_dataloader.dataset.pipeline[:-1],
            dict(type='HoleBox', size=(32, 32)),
            dict(type='PackInputs'),
        ]
    ),
)

# Global&Local, with critics for 64 pixels, on the quickstart's photographs: shows that it trains, not what it can do.
_base_ = [
    '../../_base_/models/global_local.py',
    '../../_base_/datasets/sample_photos.py',
    '../../_base_/smoke_runtime.py',
]

norm_cfg = dict(type='BN')
model = dict(
    encdec=dict(
        encoder=dict(norm_cfg=norm_cfg),
        dilation_neck=dict(norm_cfg=norm_cfg),
        decoder=dict(norm_cfg=norm_cfg),
    ),
    disc=dict(
        global_disc_cfg=dict(num_convs=4, max_channels=64, fc_in_channels=64 * 4 * 4, norm_cfg=norm_cfg),
        local_disc_cfg=dict(num_convs=3, max_channels=64, fc_in_channels=64 * 4 * 4, norm_cfg=norm_cfg),
    ),
    train_cfg=dict(local_size=(32, 32)),
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

# DFNet, thin, on the quickstart's photographs: shows that it trains, not what it can do.
_base_ = [
    '../../_base_/models/dfnet.py',
    '../../_base_/models/thin_encoder.py',
    '../../_base_/datasets/sample_photos.py',
    '../../_base_/smoke_runtime.py',
]

model = dict(
    encdec=dict(
        generator=dict(
            encoder=_base_.thin_encoder,
            decoder=dict(
                out_channels=(16, 24, 32, 48, 64, 96),
                norm_cfg=_base_.thin_norm,
                fusion=dict(hidden_channels=8, norm_cfg=_base_.thin_norm),
            ),
        )
    ),
    # VGG-16's weights are a download of 528 MB
    losses=dict(texture=None),
)
optim_wrapper = dict(generator=dict(optimizer=dict(lr=3e-3)))

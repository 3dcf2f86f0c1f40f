# DFNet, as wide as the network of configs/photos, on a folder of photographs.
_base_ = [
    '../../_base_/models/dfnet.py',
    '../../_base_/models/thin_encoder.py',
    '../../_base_/datasets/photo_folder_64.py',
    '../../_base_/photos_runtime.py',
]

model = dict(
    encdec=dict(
        generator=dict(
            encoder=dict(widths=(24, 48, 96, 160, 224, 256), kernels=(5, 3, 3, 3, 3, 3), norm_cfg=_base_.thin_norm),
            decoder=dict(
                out_channels=(12, 24, 48, 96, 128, 192),
                norm_cfg=_base_.thin_norm,
                fusion=dict(hidden_channels=8, norm_cfg=_base_.thin_norm),
            ),
        )
    ),
    # VGG-16's weights are a download of 528 MB
    losses=dict(texture=None),
)
optim_wrapper = dict(generator=dict(optimizer=dict(lr=1e-3)))

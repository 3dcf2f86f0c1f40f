# PConv, six layers deep for 64 pixels, on a folder of photographs.
_base_ = [
    '../../_base_/models/pconv.py',
    '../../_base_/datasets/photo_folder_64.py',
    '../../_base_/photos_runtime.py',
]

model = dict(
    encdec=dict(
        encoder=dict(num_layers=6, norm_cfg=dict(type='BN')),
        decoder=dict(num_layers=6, norm_cfg=dict(type='BN')),
    ),
    # VGG-16's weights are a download of 528 MB
    loss_composed_percep=None,
    loss_out_percep=False,
)
optim_wrapper = dict(optimizer=dict(lr=1e-3))

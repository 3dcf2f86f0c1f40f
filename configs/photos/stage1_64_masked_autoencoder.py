# Masked auto-encoding instead of contrast: a linear decoder restores the hole from the encoder's last feature.
_base_ = ['./stage1_64.py']

model = dict(
    _delete_=True,
    type='MaskedAutoencoder',
    data_preprocessor=dict(_base_.model.data_preprocessor, type='MaskedViewPreprocessor'),
    backbone=_base_.model.backbone,
    neck=dict(type='mmpretrain.SimMIMLinearDecoder', in_channels=256, encoder_stride=64),
    head=dict(
        type='mmpretrain.SimMIMHead',
        patch_size=1,
        loss=dict(type='mmpretrain.PixelReconstructionLoss', criterion='L1', channel=3),
    ),
)
custom_hooks = [dict(type='ChannelsLastHook')]
optim_wrapper = dict(optimizer=dict(_delete_=True, type='AdamW', lr=1e-3, weight_decay=0.05))

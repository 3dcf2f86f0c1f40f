# Contrastive pre-training of MMPretrain's ResNet-50, with a stem of four channels, on the quickstart's photographs.
_base_ = ['../_base_/moco_smoke.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ResNet',
        depth=50,
        in_channels=4,
    ),
    neck=dict(in_channels=2048),
)

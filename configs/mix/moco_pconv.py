# Contrastive pre-training of PConv's encoder, which takes image and mask, on the quickstart's photographs.
# pconv_from_moco.py goes on.
_base_ = ['../_base_/moco_smoke.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='ViewEncoder',
        form='pair',
        encoder=dict(type='PConvEncoder', num_layers=6, norm_cfg=dict(type='BN')),
    ),
    neck=dict(in_channels=512),
)

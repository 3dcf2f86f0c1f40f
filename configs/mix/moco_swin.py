# Contrastive pre-training of MMPretrain's Swin-T, with patches of four channels, on the quickstart's photographs.
_base_ = ['../_base_/moco_smoke.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SwinTransformer',
        arch='tiny',
        img_size=64,
        pad_small_map=True,  # at 64 pixels the last maps are smaller than a window
        in_channels=4,
    ),
    neck=dict(in_channels=768),
)

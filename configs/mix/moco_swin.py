# Contrastive pre-training of MMPretrain's Swin-T, with patches of four channels, on the quickstart's photographs.
_base_ = [
    '../_base_/models/siamese_moco.py',
    '../_base_/datasets/sample_photos_two_masks.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.SwinTransformer',
        arch='tiny',
        img_size=64,
        pad_small_map=True,  # at 64 pixels the last maps are smaller than a window
        in_channels=4,
    ),
    neck=dict(in_channels=768, out_channels=64),
    queue_len=512,
    feat_dim=64,
)

max_iters = 600
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4))
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=max_iters))
randomness = dict(seed=0)

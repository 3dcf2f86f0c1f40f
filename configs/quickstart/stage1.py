# Contrastive pre-training, small enough for two cores: thin encoder, short queue, embedded photographs.
_base_ = [
    '../_base_/models/siamese_moco.py',
    '../_base_/datasets/sample_photos_two_masks.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(widths=(32, 64, 96, 128, 128, 128), kernels=(5, 5, 3, 3, 3, 3)),
    neck=dict(in_channels=128, out_channels=64),
    queue_len=512,
    feat_dim=64,
)

max_iters = 120
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.015, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=False, T_max=max_iters)

default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=max_iters),
)
randomness = dict(seed=0)

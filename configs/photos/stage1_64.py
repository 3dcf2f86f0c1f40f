# Contrastive pre-training of the compact encoder on a folder of photographs.
_base_ = [
    '../_base_/models/siamese_moco.py',
    '../_base_/models/cainet_compact.py',
    '../_base_/datasets/photo_folder_two_masks.py',
    '../_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(hole_fill=_base_.hole_fill, centred=True),
    backbone=_base_.compact_encoder,
    neck=dict(in_channels=256, out_channels=64),
    queue_len=2048,
    feat_dim=64,
)
custom_hooks = [dict(type='QueueFitsBatchHook'), dict(type='ChannelsLastHook'), dict(type='CollapseHook')]

max_iters = 800
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.015, momentum=0.9, weight_decay=1e-4),
)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters),
]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=max_iters // 2))
randomness = dict(seed=0)

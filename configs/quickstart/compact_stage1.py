# Contrastive pre-training for compact_stage2.py, small enough for two cores: thin encoder, short queue, embedded
# photographs.
_base_ = [
    '../_base_/models/siamese_moco.py',
    '../_base_/models/cainet_compact.py',
    '../_base_/datasets/sample_photos_two_masks.py',
    '../_base_/default_runtime.py',
]

# the shipped network's encoder, thinner; half the steps of its fill
model = dict(
    data_preprocessor=dict(hole_fill=dict(_base_.hole_fill, iterations=10), centred=True),
    backbone=dict(_base_.compact_encoder, widths=(16, 32, 48, 64, 96, 128), kernels=(3, 3, 3, 3, 3, 3)),
    neck=dict(in_channels=128, out_channels=64),
    queue_len=512,
    feat_dim=64,
)
custom_hooks = [dict(type='QueueFitsBatchHook'), dict(type='ChannelsLastHook'), dict(type='CollapseHook')]

max_iters = 400
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters)
optim_wrapper = dict(
    type='OptimWrapper',
    # the paper's 0.015 is for batches and a queue of ImageNet; so few photographs want smaller steps
    optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4),
)

default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=max_iters),
)
randomness = dict(seed=0)

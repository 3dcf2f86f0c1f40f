# Contrastive pre-training of PConv's encoder, which takes image and mask, on the quickstart's photographs.
# pconv_from_moco.py goes on.
_base_ = [
    '../_base_/models/siamese_moco.py',
    '../_base_/datasets/sample_photos_two_masks.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='ViewEncoder',
        form='pair',
        encoder=dict(type='PConvEncoder', num_layers=6, norm_cfg=dict(type='BN')),
    ),
    neck=dict(in_channels=512, out_channels=64),
    queue_len=512,
    feat_dim=64,
)

max_iters = 600
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4))
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=max_iters))
randomness = dict(seed=0)

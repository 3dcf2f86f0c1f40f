# Contrastive pre-training of AOT-GAN's encoder, thin, on the quickstart's photographs. aot_gan_from_moco.py goes on.
_base_ = [
    '../_base_/models/siamese_moco.py',
    '../_base_/datasets/sample_photos_two_masks.py',
    '../_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='ViewEncoder',
        hole_value=1.0,  # as AOT-GAN's inpaintor fills the hole
        encoder=dict(type='AOTEncoder', mid_channels=16, out_channels=64),
    ),
    neck=dict(in_channels=64, out_channels=64),
    queue_len=512,
    feat_dim=64,
)

max_iters = 600
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4))
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=max_iters))
randomness = dict(seed=0)

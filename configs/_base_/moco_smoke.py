# Stage 1 of the recipes in configs/mix: short, with a short queue, on the quickstart's photographs. A recipe adds its
# encoder and the number of its channels.
_base_ = [
    './models/siamese_moco.py',
    './datasets/sample_photos_two_masks.py',
    './default_runtime.py',
]

model = dict(neck=dict(out_channels=64), queue_len=512, feat_dim=64)

max_iters = 600
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.005, momentum=0.9, weight_decay=1e-4))
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=max_iters))
randomness = dict(seed=0)

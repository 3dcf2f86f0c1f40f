# What the smoke variants of all methods share: some minutes on two cores without a GPU, the same number of iterations,
# the same course of the learning rate, the same seed.
_base_ = ['./default_runtime.py']

max_iters = 600
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters, val_interval=max_iters // 2)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=20),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=20, end=max_iters),
]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=max_iters // 2))
randomness = dict(seed=0)

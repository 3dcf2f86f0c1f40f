# What the methods trained on a folder of photographs share: the number of iterations and the batch of
# configs/photos/stage2_64.py, the same course of the learning rate, the mean of the weights over the last steps.
_base_ = ['./default_runtime.py']

max_iters = 13000
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters, val_interval=1000)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters, eta_min_ratio=0.1),
]
custom_hooks = [dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.002)]
default_hooks = dict(logger=dict(interval=100), checkpoint=dict(interval=1000))
randomness = dict(seed=0)

# Adam, and the mean of the weights over the last steps, which is what is validated and published.
max_iters = 10000
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters, val_interval=1000)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.9, 0.99))),
)
custom_hooks = [
    dict(type='ChannelsLastHook'),
    dict(type='EMAHook', ema_type='ExponentialMovingAverage', momentum=0.002),
]

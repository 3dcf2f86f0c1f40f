# Goes on at 128 pixels from the weights of stage2_128_longer.py: a third cosine from a high rate. The shipped network
# ends here. Its stages before started from the smooth fill (model.encdec.hole_fill.type=SmoothFill).
_base_ = ['./stage2_128.py']

load_from = 'work_dirs/photos/stage2_128_longer/iter_14000.pth'
model = dict(train_cfg=dict(penalty_interval=4))
optim_wrapper = dict(generator=dict(optimizer=dict(lr=1e-3)))

max_iters = 10500
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=200),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, end=max_iters, eta_min_ratio=0.01),
]
randomness = dict(seed=2)

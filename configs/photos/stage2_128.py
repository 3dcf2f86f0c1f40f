# Joint training goes on at 128 pixels, with the critic, from the weights of stage2_64.py.
_base_ = [
    '../_base_/models/cainet_photos.py',
    '../_base_/datasets/photo_folder_128.py',
    '../_base_/schedules/photos_stage2.py',
    '../_base_/default_runtime.py',
]

load_from = 'work_dirs/photos/stage2_64/iter_13000.pth'
train_dataloader = dict(batch_size=4)
optim_wrapper = dict(
    generator=dict(optimizer=dict(lr=5e-4)),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=5e-4, betas=(0.5, 0.9))),
)

max_iters = 4500
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters, eta_min_ratio=0.01),
]
default_hooks = dict(logger=dict(interval=100), checkpoint=dict(interval=1000))
randomness = dict(seed=0)

# Joint training of the compact CAINet on a folder of photographs, first at 64 pixels, from stage 1's encoder.
_base_ = [
    '../_base_/models/cainet_photos.py',
    '../_base_/datasets/photo_folder_64.py',
    '../_base_/schedules/photos_stage2.py',
    '../_base_/default_runtime.py',
]

stage1_checkpoint = 'work_dirs/photos/stage1_64/iter_800.pth'
model = dict(
    encdec=dict(
        encoder=dict(init_cfg=dict(type='Pretrained', checkpoint=stage1_checkpoint, prefix='backbone.')),
    ),
    # 64 pixels show too little texture for a critic: it comes in at 128
    disc=None,
)

max_iters = 13000
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters, eta_min_ratio=0.1),
]
default_hooks = dict(logger=dict(interval=100), checkpoint=dict(interval=1000))
randomness = dict(seed=0)

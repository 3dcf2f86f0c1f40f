# Stage 2 on any folder of photographs: what the sizes share. photo_folder_64.py and others add sizes and masks.
_base_ = ['./photo_folder.py']

batch_size = 8

load_photo = dict(type='LoadPhoto')
train_dataloader = dict(
    batch_size=batch_size,
    dataset=dict(
        pipeline=[
            *_base_.train_dataloader.dataset.pipeline,
            dict(type='RandomPlainPicture', keys=['gt'], prob=0.08),
            dict(type='GetMaskedImage'),
            dict(type='PackInputs'),
        ]
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PhotoDataset',
        data_root=_base_.data_root,
        ann_file='lists/test.txt',
        test_mode=True,
        pipeline=[
            load_photo,
            dict(type='Resize', keys=['gt'], keep_ratio=True, interpolation='area'),
            dict(type='Crop', keys=['gt'], random_crop=False),
            dict(type='GetMaskedImage'),
            dict(type='PackInputs'),
        ],
    ),
)
test_dataloader = val_dataloader

val_evaluator = [dict(type='MAE'), dict(type='PSNR'), dict(type='SSIM'), dict(type='HolePSNR')]
test_evaluator = val_evaluator
val_cfg = dict(type='MultiValLoop')
test_cfg = dict(type='MultiTestLoop')

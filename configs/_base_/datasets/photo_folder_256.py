# Any folder of photographs, at 256 pixels, with holes of free form. tools/train_photos.sh writes the lists.
_base_ = ['../masks/free_form_256.py']

data_root = 'data/photos'
batch_size = 8
# crops of a share of a photograph's area, so that things are seen at several sizes
crop_share = (0.5, 1.0)

load_photo = dict(type='LoadPhoto')
train_dataloader = dict(
    batch_size=batch_size,
    num_workers=0,  # a few milliseconds a photograph: worker processes would take a small machine's cores
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='PhotoDataset',
        data_root=data_root,
        ann_file='lists/train.txt',
        pipeline=[
            load_photo,
            dict(
                type='RandomResizedCrop',
                keys=['gt'],
                crop_size=_base_.image_size,
                scale=crop_share,
                ratio=(1.0, 1.0),
                interpolation='area',
            ),
            dict(type='Flip', keys=['gt'], direction='horizontal'),
            dict(type='RandomTint', keys=['gt'], gain=(0.7, 1.1), offset=(-20.0, 30.0)),
            dict(type='RandomPlainPicture', keys=['gt'], prob=0.08),
            _base_.draw_mask,
            dict(type='GetMaskedImage'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PhotoDataset',
        data_root=data_root,
        ann_file='lists/test.txt',
        test_mode=True,
        pipeline=[
            load_photo,
            dict(type='Resize', keys=['gt'], scale=(-1, 256), keep_ratio=True, interpolation='area'),
            dict(type='Crop', keys=['gt'], crop_size=_base_.image_size, random_crop=False),
            _base_.draw_fixed_mask,
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

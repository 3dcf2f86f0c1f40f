# Stage 2 on the embedded photographs; whole photographs are held out for validation and test.
_base_ = ['../masks/free_form_64.py']

train_dataloader = dict(
    batch_size=8,
    num_workers=0,  # half a millisecond a photograph: worker processes would take the cores from the network
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='SamplePhotos',
        split='train',
        short_side=96,
        pipeline=[
            dict(type='Crop', keys=['gt'], crop_size=_base_.image_size, random_crop=True),
            dict(type='Flip', keys=['gt'], direction='horizontal'),
            dict(type='RandomTint', keys=['gt'], gain=(0.7, 1.1), offset=(-20.0, 30.0)),
            _base_.draw_mask,
            dict(type='GetMaskedImage'),
            dict(type='PackInputs'),
        ],
    ),
)

val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SamplePhotos',
        split='test',
        short_side=96,
        crop_size=64,
        crops_per_photo=8,
        test_mode=True,
        pipeline=[
            _base_.draw_fixed_mask,
            dict(type='GetMaskedImage'),
            dict(type='PackInputs'),
        ],
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='MAE'),
    dict(type='PSNR'),
    dict(type='SSIM'),
    dict(type='HolePSNR'),
]
test_evaluator = val_evaluator
val_cfg = dict(type='MultiValLoop')
test_cfg = dict(type='MultiTestLoop')

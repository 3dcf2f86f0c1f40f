# The held-out embedded photographs at 256 pixels, for test alone: four overlapping crops of each.
_base_ = ['../masks/free_form_256.py']

test_dataloader = dict(
    batch_size=4,
    num_workers=0,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='SamplePhotos',
        split='test',
        short_side=384,
        crop_size=256,
        crops_per_photo=4,
        test_mode=True,
        pipeline=[
            _base_.draw_fixed_mask,
            dict(type='GetMaskedImage'),
            dict(type='PackInputs'),
        ],
    ),
)

test_evaluator = [dict(type='MAE'), dict(type='PSNR'), dict(type='SSIM'), dict(type='HolePSNR')]
test_cfg = dict(type='MultiTestLoop')

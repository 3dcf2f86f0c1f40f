# Stage 1 on the embedded photographs: each crop under two masks.
_base_ = ['../masks/free_form_64.py']

train_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='SamplePhotos',
        split='train',
        short_side=96,
        pipeline=[
            dict(type='Crop', keys=['gt'], crop_size=_base_.image_size, random_crop=True),
            dict(type='Flip', keys=['gt'], direction='horizontal'),
            dict(type='RandomTint', keys=['gt']),
            _base_.draw_query_mask,
            _base_.draw_key_mask,
            dict(type='PackInputs', keys=['gt'], data_keys=['mask_q', 'mask_k']),
        ],
    ),
)

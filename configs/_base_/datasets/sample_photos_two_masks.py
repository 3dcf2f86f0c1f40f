# Stage 1 on the embedded photographs: each crop under two masks.
_base_ = ['../masks/free_form_64.py']

train_dataloader = dict(
    batch_size=16,
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
            _base_.draw_query_mask,
            _base_.draw_key_mask,
            dict(type='PackInputs', keys=['gt'], data_keys=['mask_q', 'mask_k']),
        ],
    ),
)

# Stage 1 on any folder of photographs: each crop under two masks. Crops and colours are those of photo_folder_64.py.
_base_ = ['../masks/free_form_64.py']

data_root = 'data/photos'

train_dataloader = dict(
    batch_size=32,
    num_workers=0,  # a few milliseconds a photograph: worker processes would take a small machine's cores
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='PhotoDataset',
        data_root=data_root,
        ann_file='lists/train.txt',
        pipeline=[
            dict(type='LoadPhoto'),
            dict(
                type='RandomResizedCrop',
                keys=['gt'],
                crop_size=_base_.image_size,
                scale=(0.1, 0.8),
                ratio=(1.0, 1.0),
                interpolation='area',
            ),
            dict(type='Flip', keys=['gt'], direction='horizontal'),
            dict(type='RandomTint', keys=['gt'], gain=(0.7, 1.1), offset=(-20.0, 30.0)),
            _base_.draw_query_mask,
            _base_.draw_key_mask,
            dict(type='PackInputs', keys=['gt'], data_keys=['mask_q', 'mask_k']),
        ],
    ),
)

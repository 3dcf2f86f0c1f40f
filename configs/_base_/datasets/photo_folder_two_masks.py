# Stage 1 on any folder of photographs: each crop under two masks. The crops are those of photo_folder_64.py.
_base_ = ['./photo_folder.py', '../masks/free_form_64.py']

load, crop, *changes = _base_.train_dataloader.dataset.pipeline
train_dataloader = dict(
    batch_size=32,
    dataset=dict(
        pipeline=[
            load,
            dict(crop, crop_size=_base_.image_size, scale=(0.1, 0.8)),
            *changes,
            _base_.draw_query_mask,
            _base_.draw_key_mask,
            dict(type='PackInputs', keys=['gt'], data_keys=['mask_q', 'mask_k']),
        ],
    ),
)
del load, crop, changes

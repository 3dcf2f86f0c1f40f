# Stage 1 on ImageNet: each photograph under two masks. The list is the one of imagenet.py, without labels.
_base_ = ['../masks/free_form_256.py']

# The paper trains the encoder on ImageNet, which it describes by its 14 million images; our choice is the 1.28 million
# of ILSVRC 2012, as in MoCo.
data_root = 'data/imagenet'

train_dataloader = dict(
    # Our choice, on 4 GPUs: 128 together is the batch to which MoCo's linear rule gives the paper's rate of 0.015. The
    # global batch has to divide the queue.
    batch_size=32,
    num_workers=8,
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='PhotoDataset',
        data_root=data_root,
        ann_file='lists/train.txt',
        pipeline=[
            dict(type='LoadPhoto'),
            # as in photos_256.py
            dict(type='Resize', keys=['gt'], scale=(-1, 256), keep_ratio=True, interpolation='area'),
            dict(type='Crop', keys=['gt'], crop_size=_base_.image_size, random_crop=True),
            # Before the masks: a positive pair is one and the same image, so both views share crop and flip.
            dict(type='Flip', keys=['gt'], direction='horizontal', flip_ratio=0.5),
            _base_.draw_query_mask,
            _base_.draw_key_mask,
            dict(type='PackInputs', keys=['gt'], data_keys=['mask_q', 'mask_k']),
        ],
    ),
)

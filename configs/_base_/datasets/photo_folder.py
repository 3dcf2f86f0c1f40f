# Any folder of photographs: what both stages share at every size. tools/train_photos.sh writes the lists. The files
# that inherit this one add the size of the crop and its share of the photograph, the masks and the packing.
data_root = 'data/photos'

train_dataloader = dict(
    num_workers=0,  # a few milliseconds a photograph: worker processes would take a small machine's cores
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='PhotoDataset',
        data_root=data_root,
        ann_file='lists/train.txt',
        pipeline=[
            dict(type='LoadPhoto'),
            dict(type='RandomResizedCrop', keys=['gt'], ratio=(1.0, 1.0), interpolation='area'),
            dict(type='Flip', keys=['gt'], direction='horizontal'),
            dict(type='RandomTint', keys=['gt'], gain=(0.7, 1.1), offset=(-20.0, 30.0)),
        ],
    ),
)

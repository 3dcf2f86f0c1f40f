# Stage 2 on 256x256 photographs with free-form masks: what the data sets share. Each data set's file adds where its
# photographs and lists are; tools/prepare_data.py writes the lists (configs/README.md).
_base_ = ['../masks/free_form_256.py']

# The paper: "All the images are resized to 256x256". How it treats photographs that are not square is open. Our choice
# is to keep the aspect ratio: the shorter side becomes 256, then a crop, random in training and central in test. To
# squeeze them to a square instead, set keep_ratio=False and scale=(256, 256) here; the crop then takes everything.
load_photo = dict(type='LoadPhoto')
shrink_photo = dict(type='Resize', keys=['gt'], scale=(-1, 256), keep_ratio=True, interpolation='area')

train_dataloader = dict(
    batch_size=8,  # our choice, on 4 GPUs; the paper names no batch size
    num_workers=4,  # for each GPU; a 256-pixel photograph takes one of them 3 ms, masks included
    persistent_workers=True,
    pin_memory=True,
    drop_last=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type='PhotoDataset',
        ann_file='lists/train.txt',
        pipeline=[
            load_photo,
            shrink_photo,
            dict(type='Crop', keys=['gt'], crop_size=_base_.image_size, random_crop=True),
            # the paper: "data augmentation ... such as flipping"; our choice is flipping alone, left to right
            dict(type='Flip', keys=['gt'], direction='horizontal', flip_ratio=0.5),
            _base_.draw_mask,
            dict(type='GetMaskedImage'),
            dict(type='PackInputs'),
        ],
    ),
)

test_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    pin_memory=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='PhotoDataset',
        ann_file='lists/test.txt',
        test_mode=True,
        pipeline=[
            load_photo,
            shrink_photo,
            dict(type='Crop', keys=['gt'], crop_size=_base_.image_size, random_crop=False),
            _base_.draw_fixed_mask,
            dict(type='GetMaskedImage'),
            dict(type='PackInputs'),
        ],
    ),
)
# During training the first 500 test photographs are looked at. This is for watching: no checkpoint is chosen by it, so
# the test metrics stay those of photographs that decided nothing.
val_dataloader = dict(test_dataloader, dataset=dict(test_dataloader['dataset'], indices=500))

# The paper's L1 error, PSNR and SSIM, on whole images. Its fourth figure, FID, needs a network of 95 MB that MMagic
# would download in silence: configs/_base_/metrics/fid.py.
test_evaluator = [
    dict(type='MAE'),
    dict(type='PSNR'),
    dict(type='SSIM'),
    dict(type='HolePSNR'),
]
val_evaluator = test_evaluator
val_cfg = dict(type='MultiValLoop')
test_cfg = dict(type='MultiTestLoop')

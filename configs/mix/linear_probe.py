# How much of what a photograph shows is in stage 1's features: a linear classifier on the frozen encoder, by
# MMPretrain, for its tools/train.py or ours. The photographs are in a folder per class below train/ and val/.
#   python tools/train.py configs/mix/linear_probe.py --cfg-options \
#       train_dataloader.dataset.data_root=DIR val_dataloader.dataset.data_root=DIR \
#       model.backbone.init_cfg.checkpoint=STAGE_1_CHECKPOINT model.head.num_classes=N
custom_imports = dict(imports=['cainet_mm'], allow_failed_imports=False)
default_scope = 'mmpretrain'
data_root = 'data/probe'

model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(type='WholeViewPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, to_rgb=True),
    # the encoder that was trained in stage 1, here that of cainet/cainet_stage1_4xb32-2000k_imagenet-256x256.py; the
    # classifier takes the last stage
    backbone=dict(
        type='CAINetEncoder',
        out_indices=(7,),
        frozen=True,
        init_cfg=dict(
            type='Pretrained',
            checkpoint='work_dirs/cainet_stage1_imagenet/iter_2000000.pth',
            prefix='backbone.',
        ),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=1000, in_channels=512, loss=dict(type='CrossEntropyLoss'), topk=(1,)),
)

train_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='train',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='RandomResizedCrop', scale=224),
            dict(type='RandomFlip', prob=0.5, direction='horizontal'),
            dict(type='PackInputs'),
        ],
    ),
)
val_dataloader = dict(
    batch_size=32,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CustomDataset',
        data_root=data_root,
        data_prefix='val',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='ResizeEdge', scale=256, edge='short'),
            dict(type='CenterCrop', crop_size=224),
            dict(type='PackInputs'),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator

# MoCo's schedule for linear classifiers
train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type='SGD', lr=30.0, momentum=0.9, weight_decay=0.0))
param_scheduler = dict(type='MultiStepLR', by_epoch=True, milestones=[60, 80], gamma=0.1)
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=10, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
randomness = dict(seed=0)

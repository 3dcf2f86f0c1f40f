# Stage 1. MMPretrain's parts carry their scope, since the default scope is MMagic's.
model = dict(
    type='SiameseMoCo',
    data_preprocessor=dict(type='TwoMaskPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    backbone=dict(type='CAINetEncoder'),
    neck=dict(type='mmpretrain.LinearNeck', in_channels=512, out_channels=128, gap_dim=2, norm_cfg=None),
    head=dict(
        type='mmpretrain.ContrastiveHead',
        temperature=0.07,
        loss=dict(type='mmpretrain.CrossEntropyLoss', loss_weight=1.0),
    ),
    queue_len=65536,
    feat_dim=128,
    momentum=0.1,  # MMEngine's convention: 1 - m, m = 0.9
)

custom_hooks = [dict(type='QueueFitsBatchHook'), dict(type='CollapseHook')]

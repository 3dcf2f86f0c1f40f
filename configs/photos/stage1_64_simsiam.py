# SimSiam instead of contrast: the two views of a photograph predict each other, without a queue.
_base_ = ['./stage1_64.py']

projection = dict(
    type='mmpretrain.NonLinearNeck',
    in_channels=256,
    hid_channels=256,
    out_channels=256,
    num_layers=3,
    with_last_bn_affine=False,
    norm_cfg=dict(type='BN1d'),
)
prediction = dict(
    type='mmpretrain.NonLinearNeck',
    in_channels=256,
    hid_channels=64,
    out_channels=256,
    with_avg_pool=False,
    with_last_bn=False,
    with_last_bias=True,
    norm_cfg=dict(type='BN1d'),
)
model = dict(
    _delete_=True,
    type='mmpretrain.SimSiam',
    data_preprocessor=_base_.model.data_preprocessor,
    backbone=dict(_base_.model.backbone, out_indices=(5,)),
    neck=projection,
    head=dict(
        type='mmpretrain.LatentPredictHead',
        loss=dict(type='mmpretrain.CosineSimilarityLoss'),
        predictor=prediction,
    ),
)
custom_hooks = [dict(type='ChannelsLastHook')]
del projection, prediction

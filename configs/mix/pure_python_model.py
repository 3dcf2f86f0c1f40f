# CAINet, thin, in MMEngine's pure-Python style, whose types are classes that an editor can follow; pure_python.py
# inherits it.
from mmagic.models.data_preprocessors import DataPreprocessor
from mmagic.models.losses import GANLoss, L1Loss

from cainet_mm.models import (
    CAINetCritic,
    CAINetDecoder,
    CAINetEncoder,
    CAINetEncoderDecoder,
    CAINetInpaintor,
    DilatedTVLoss,
    DualAttentionFusion,
    MultiScaleLoss,
    SampleGradientPenalty,
)

norm_cfg = dict(type='GN', num_groups=1)
model = dict(
    type=CAINetInpaintor,
    data_preprocessor=dict(type=DataPreprocessor, mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    encdec=dict(
        type=CAINetEncoderDecoder,
        encoder=dict(
            type=CAINetEncoder,
            widths=(16, 32, 48, 64, 96, 128),
            kernels=(3, 3, 3, 3, 3, 3),
            norm_cfg=norm_cfg,
        ),
        decoder=dict(
            type=CAINetDecoder,
            out_channels=(16, 24, 32, 48, 64, 96),
            norm_cfg=norm_cfg,
            fusion=dict(type=DualAttentionFusion, hidden_channels=8, norm_cfg=norm_cfg),
        ),
    ),
    losses=dict(
        rec=dict(type=MultiScaleLoss, loss=dict(type=L1Loss, loss_weight=6.0)),
        tv=dict(
            type=MultiScaleLoss,
            scales=(1, 2, 3),
            takes=('output', 'mask'),
            loss=dict(type=DilatedTVLoss, loss_weight=0.1),
        ),
    ),
    disc=dict(type=CAINetCritic, widths=(8, 16, 32), kernel_size=3),
    loss_gan=dict(type=GANLoss, gan_type='wgan', loss_weight=0.001),
    loss_gp=dict(type=SampleGradientPenalty, loss_weight=10.0),
    critic_scales=(2, 3),
)

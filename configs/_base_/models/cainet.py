# Stage 2: the generator, the whole objective and the critic, with the paper's weights.
model = dict(
    type='CAINetInpaintor',
    data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    encdec=dict(
        type='CAINetEncoderDecoder',
        encoder=dict(type='CAINetEncoder'),
        decoder=dict(type='CAINetDecoder', num_scales=6, fusion=dict(type='DualAttentionFusion')),
    ),
    losses=dict(
        rec=dict(
            type='MultiScaleLoss',
            scales=(1, 2, 3, 4, 5, 6),
            loss=dict(type='L1Loss', loss_weight=6.0, reduction='mean'),
        ),
        texture=dict(
            type='MultiScaleLoss',
            scales=(1, 2, 3),
            loss=dict(type='TextureLoss', vgg='torchvision://vgg16', perceptual_weight=0.1, style_weight=240.0),
        ),
        tv=dict(
            type='MultiScaleLoss',
            scales=(1, 2, 3),
            takes=('output', 'mask'),
            loss=dict(type='DilatedTVLoss', loss_weight=0.1),
        ),
    ),
    disc=dict(type='CAINetCritic'),
    loss_gan=dict(type='GANLoss', gan_type='wgan', loss_weight=0.001),
    loss_gp=dict(type='SampleGradientPenalty', loss_weight=10.0),
    critic_scales=(1, 2, 3),
    train_cfg=dict(disc_step=1),
    test_cfg=dict(compose=True),
)

# generator and critic are updated one after the other, so each is wrapped by itself
model_wrapper_cfg = dict(
    type='MMSeparateDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=False
)

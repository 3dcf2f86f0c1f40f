# LBAM (Xie et al., ICCV 2019) with its own objective. Its weights are published for images in [0, 1]; the losses here
# see [-1, 1], where a distance is twice as large. So the L1 and adversarial weights are halved, and the penalty's is
# doubled, which stands beside scores that are twice as far apart.
model = dict(
    type='CAINetInpaintor',
    data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    encdec=dict(type='UnitRangeGenerator', generator=dict(type='LBAMGenerator')),
    losses=dict(
        # 6 in the hole and 1 outside, as means over all pixels: 1 on the output and 5 on the composite, which is
        # wrong in the hole alone
        l1_output=dict(
            type='MultiScaleLoss',
            scales=(1,),
            loss=dict(type='L1Loss', loss_weight=1.0 / 2, reduction='mean'),
        ),
        l1_composed=dict(
            type='MultiScaleLoss',
            scales=(1,),
            takes=('composed', 'target'),
            loss=dict(type='L1Loss', loss_weight=5.0 / 2, reduction='mean'),
        ),
        # 0.01 and 120 for the sum over three layers; TextureLoss takes the mean
        texture_output=dict(
            type='MultiScaleLoss',
            scales=(1,),
            loss=dict(
                type='TextureLoss', vgg='torchvision://vgg16', perceptual_weight=3 * 0.01, style_weight=3 * 120.0
            ),
        ),
        texture_composed=dict(
            type='MultiScaleLoss',
            scales=(1,),
            takes=('composed', 'target'),
            loss=dict(
                type='TextureLoss', vgg='torchvision://vgg16', perceptual_weight=3 * 0.01, style_weight=3 * 120.0
            ),
        ),
    ),
    disc=dict(type='TwoColumnCritic', column=dict(type='CAINetCritic')),
    disc_input_with_mask=True,
    loss_gan=dict(type='GANLoss', gan_type='wgan', loss_weight=0.1 / 2),
    loss_gp=dict(type='SampleGradientPenalty', loss_weight=10.0 * 2),
    critic_scales=(1,),
    train_cfg=dict(disc_step=1),
    test_cfg=dict(compose=True),
)

# generator and critic are updated one after the other, so each is wrapped by itself
model_wrapper_cfg = dict(
    type='MMSeparateDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=False
)

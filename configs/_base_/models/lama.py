# LaMa (Suvorov et al., WACV 2022) with its own objective. It was published for images in [0, 1]; the losses and the
# critic here see [-1, 1], where a distance is twice as large and a gradient half as large. So the L1 weight is halved
# and that of the squared gradient is four times as large.
model = dict(
    type='FeatureMatchingInpaintor',
    data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    encdec=dict(type='UnitRangeGenerator', generator=dict(type='LaMaGenerator')),
    losses=dict(
        # on known pixels alone, as a mean over all
        l1=dict(
            type='MultiScaleLoss',
            scales=(1,),
            takes=('outside', 'target'),
            loss=dict(type='L1Loss', loss_weight=10.0 / 2, reduction='mean'),
        ),
        # The weights are no torchvision ones; where they are not at hand, a VGG's features can stand in:
        #   loss=dict(_delete_=True, type='TextureLoss', perceptual_weight=..., style_weight=0.0)
        perceptual=dict(
            type='MultiScaleLoss',
            scales=(1,),
            loss=dict(
                type='HighReceptiveFieldLoss', weights='data/weights/ade20k_resnet50dilated.pth', loss_weight=30.0
            ),
        ),
    ),
    disc=dict(type='PatchCritic'),
    loss_gan=dict(type='LogisticGANLoss', loss_weight=10.0),
    loss_gp=dict(type='R1Penalty', loss_weight=0.001 * 4),
    loss_fm=dict(type='FeatureMatchingLoss', loss_weight=100.0),
    critic_sees='output',
    critic_scales=(1,),
    train_cfg=dict(disc_step=1),
    test_cfg=dict(compose=True),
)

# generator and critic are updated one after the other, so each is wrapped by itself
model_wrapper_cfg = dict(
    type='MMSeparateDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=False
)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)),
)

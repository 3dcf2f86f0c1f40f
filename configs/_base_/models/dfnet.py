# DFNet (Hong et al., ACM MM 2019): CAINet's encoder and decoder, which are DFNet's, with its fusion, SAME padding as in
# TensorFlow and biases throughout, so that its public weights fit; no critic. It was published for images in [0, 1];
# the losses here see [-1, 1], where a distance is twice as large, so those of L1 and of total variation are halved.
model = dict(
    type='CAINetInpaintor',
    data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    encdec=dict(
        type='UnitRangeGenerator',
        generator=dict(
            type='CAINetEncoderDecoder',
            encoder=dict(type='CAINetEncoder', conv_cfg=dict(type='Conv2dAdaptivePadding'), bias=True),
            decoder=dict(
                type='CAINetDecoder',
                num_scales=6,
                bias=True,
                fusion=dict(type='AlphaFusion', image_range=(0.0, 1.0), downscale_mode='bilinear', bias=True),
            ),
        ),
    ),
    losses=dict(
        rec=dict(
            type='MultiScaleLoss',
            scales=(1, 2, 3, 4, 5, 6),
            loss=dict(type='L1Loss', loss_weight=6.0 / 2, reduction='mean'),
        ),
        # 0.1 and 240 for the sum over three layers; TextureLoss takes the mean
        texture=dict(
            type='MultiScaleLoss',
            scales=(1, 2, 3),
            loss=dict(type='TextureLoss', vgg='torchvision://vgg16', perceptual_weight=3 * 0.1, style_weight=3 * 240.0),
        ),
        tv=dict(
            type='MultiScaleLoss',
            scales=(1, 2, 3),
            takes=('output', 'mask'),
            loss=dict(type='MaskedTVLoss', loss_weight=0.1 / 2),
        ),
    ),
    downscale_mode='bilinear',
    test_cfg=dict(compose=True),
)
model_wrapper_cfg = dict(
    type='MMSeparateDistributedDataParallel', broadcast_buffers=False, find_unused_parameters=False
)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4)),
)

# AOT-GAN (Zeng et al., TVCG 2022) from MMagic, which has no base file of this model: its parts by their names, with the
# settings of mmagic::aot_gan/aot-gan_smpgan_4xb4_places-512x512.py (a test compares them). Images come in RGB, as for
# every method here; the perceptual loss reads the weights that one names.
model = dict(
    type='AOTInpaintor',
    data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    encdec=dict(
        type='AOTEncoderDecoder',
        encoder=dict(type='AOTEncoder'),
        decoder=dict(type='AOTDecoder'),
        dilation_neck=dict(type='AOTBlockNeck', dilation_rates=(1, 2, 4, 8), num_aotblock=8),
    ),
    disc=dict(type='SoftMaskPatchDiscriminator', in_channels=3, base_channels=64, num_conv=3, with_spectral_norm=True),
    loss_gan=dict(type='GANLoss', gan_type='smgan', loss_weight=0.01),
    loss_composed_percep=dict(
        type='VGGPerceptualLoss',
        vgg_type='vgg19',
        layer_weights={'1': 1.0, '6': 1.0, '11': 1.0, '20': 1.0, '29': 1.0},
        layer_weights_style={'8': 1.0, '17': 1.0, '26': 1.0, '31': 1.0},
        perceptual_weight=0.1,
        style_weight=250,
    ),
    loss_out_percep=True,
    loss_l1_valid=dict(type='L1Loss', loss_weight=1.0),
    train_cfg=dict(disc_step=1, start_iter=0),
)
model_wrapper_cfg = dict(type='MMSeparateDistributedDataParallel')
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.0, 0.9))),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.0, 0.9))),
)

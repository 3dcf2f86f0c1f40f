# MMagic's OneStageInpaintor with AOT-GAN's generator, CAINet's losses, critic and gradient penalty.
_base_ = [
    '../_base_/datasets/sample_photos.py',
    '../_base_/smoke_runtime.py',
]

model = dict(
    type='OneStageInpaintor',
    data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    encdec=dict(
        type='AOTEncoderDecoder',
        encoder=dict(type='AOTEncoder', mid_channels=16, out_channels=64),
        dilation_neck=dict(type='AOTBlockNeck', in_channels=64, num_aotblock=4),
        decoder=dict(type='AOTDecoder', in_channels=64, mid_channels=32),
    ),
    disc=dict(type='CAINetCritic', widths=(16, 32, 64), kernel_size=3),
    loss_gan=dict(type='GANLoss', gan_type='wgan', loss_weight=0.001),
    loss_gp=dict(type='SampleGradientPenalty', loss_weight=10.0),
    loss_l1_hole=dict(
        type='MultiScaleLoss',
        scales=(1, 2, 3),
        takes=('output', 'target', 'mask'),
        loss=dict(type='L1Loss', loss_weight=6.0),
    ),
    loss_l1_valid=dict(type='L1Loss', loss_weight=1.0),
    # random weights for this small run; 'torchvision://vgg16' fetches the real ones, a path reads them
    loss_composed_percep=dict(type='TextureLoss', vgg=None, perceptual_weight=0.1, style_weight=1.0, as_pair=True),
    loss_tv=dict(
        type='MultiScaleLoss',
        scales=(1, 2),
        takes=('output', 'mask'),
        loss=dict(type='DilatedTVLoss', loss_weight=0.1),
    ),
    train_cfg=dict(disc_step=1),
)
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3)),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-3, betas=(0.5, 0.9))),
)

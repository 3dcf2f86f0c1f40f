# MI-GAN (Sargsyan et al., ICCV 2023), for its public weights: its training, which distils a large network, is not here.
model = dict(
    type='CAINetInpaintor',
    data_preprocessor=dict(type='DataPreprocessor', mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    encdec=dict(type='MIGANGenerator', size=256),
    losses=dict(),
    test_cfg=dict(compose=True),
)

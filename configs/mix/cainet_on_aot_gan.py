# CAINet's training, multi-scale losses and critic, on AOT-GAN's generator with a dual attention fusion at three scales.
_base_ = ['../quickstart/stage2.py']

model = dict(
    encdec=dict(
        _delete_=True,
        type='FusedGenerator',
        generator=dict(
            type='AOTEncoderDecoder',
            encoder=dict(type='AOTEncoder', mid_channels=16, out_channels=64),
            dilation_neck=dict(type='AOTBlockNeck', in_channels=64, num_aotblock=4),
            decoder=dict(type='AOTDecoder', in_channels=64, mid_channels=32),
        ),
        features=['decoder.decoder.1', 'decoder.decoder.0', 'dilation_neck'],
    ),
    losses=dict(rec=dict(scales=(1, 2, 3))),
)

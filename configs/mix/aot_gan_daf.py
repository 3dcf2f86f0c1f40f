# AOT-GAN with a dual attention fusion on its last feature, in MMagic's own inpaintor.
_base_ = ['../baselines/smoke/aot_gan.py']

model = dict(
    encdec=dict(
        _delete_=True,
        type='FusedGenerator',
        generator=_base_.model.encdec,
        features=['decoder.decoder.1'],
        output='finest',
    )
)

# LaMa, with its critic and losses, with a dual attention fusion on each of its up-sampling layers. It takes images of
# multiples of 8 alone.
_base_ = ['../baselines/smoke/lama.py']

model = dict(
    encdec=dict(
        _delete_=True,
        type='FusedGenerator',
        generator=_base_.model.encdec,
        features=['generator.ups.2', 'generator.ups.1', 'generator.ups.0'],
    ),
    losses=dict(l1=dict(scales=(1, 2, 3))),
)

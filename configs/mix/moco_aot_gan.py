# Contrastive pre-training of AOT-GAN's encoder, thin, on the quickstart's photographs. aot_gan_from_moco.py goes on.
_base_ = ['../_base_/moco_smoke.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='ViewEncoder',
        hole_value=1.0,  # as AOT-GAN's inpaintor fills the hole
        encoder=dict(type='AOTEncoder', mid_channels=16, out_channels=64),
    ),
    neck=dict(in_channels=64),
)

# AOT-GAN in MMagic's own inpaintor, from the encoder that moco_aot_gan.py has trained.
_base_ = ['../baselines/smoke/aot_gan.py']

custom_hooks = [
    dict(
        type='LoadPartHook',
        part='generator.encoder',
        checkpoint='work_dirs/moco_aot_gan/iter_600.pth',
        prefix='backbone.encoder.',
    )
]

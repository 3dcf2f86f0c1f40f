# PConv in MMagic's own inpaintor, from the encoder that moco_pconv.py has trained.
_base_ = ['../baselines/smoke/pconv.py']

custom_hooks = [
    dict(
        type='LoadPartHook',
        part='generator.encoder',
        checkpoint='work_dirs/moco_pconv/iter_600.pth',
        prefix='backbone.encoder.',
    )
]

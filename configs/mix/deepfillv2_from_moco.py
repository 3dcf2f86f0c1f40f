# DeepFillv2 in MMagic's own inpaintor, from the encoder that moco_deepfill.py has trained.
_base_ = ['../baselines/smoke/deepfillv2.py']

custom_hooks = [
    dict(
        type='LoadPartHook',
        part='generator.stage1.encoder',
        checkpoint='work_dirs/moco_deepfill/iter_600.pth',
        prefix='backbone.encoder.',
    )
]

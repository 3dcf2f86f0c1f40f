# Old name, kept for one release.
_base_ = ['./cainet_stage1_4xb32-2000k_imagenet-256x256.py']
_deprecation_ = dict(expected='cainet_stage1_4xb32-2000k_imagenet-256x256.py')

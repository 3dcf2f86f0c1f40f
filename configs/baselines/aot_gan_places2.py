# Old name, kept for one release.
_base_ = ['./aot-gan_4xb8-500k_places2-256x256.py']
_deprecation_ = dict(expected='aot-gan_4xb8-500k_places2-256x256.py')

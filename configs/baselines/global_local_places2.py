# Old name, kept for one release.
_base_ = ['./global-local_4xb8-500k_places2-256x256.py']
_deprecation_ = dict(expected='global-local_4xb8-500k_places2-256x256.py')

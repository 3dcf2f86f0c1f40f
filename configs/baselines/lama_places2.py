# Old name, kept for one release.
_base_ = ['./lama_4xb8-500k_places2-256x256.py']
_deprecation_ = dict(expected='lama_4xb8-500k_places2-256x256.py')

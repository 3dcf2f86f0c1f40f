# Old name, kept for one release.
_base_ = ['./deepfillv2_4xb8-500k_places2-256x256.py']
_deprecation_ = dict(expected='deepfillv2_4xb8-500k_places2-256x256.py')

# Old name, kept for one release.
_base_ = ['./cainet_stage2_4xb8-500k_places2-256x256.py']
_deprecation_ = dict(expected='cainet_stage2_4xb8-500k_places2-256x256.py')

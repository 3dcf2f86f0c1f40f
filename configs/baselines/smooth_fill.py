# Holes filled with a smooth continuation of the colours around them, from which the network of configs/photos starts.
_base_ = [
    '../_base_/models/classical.py',
    '../_base_/datasets/sample_photos.py',
    '../_base_/default_runtime.py',
]

model = dict(method='smooth')

# Holes filled with the mean colour of the known pixels, on the quickstart's test photographs.
_base_ = [
    '../_base_/models/classical.py',
    '../_base_/datasets/sample_photos.py',
    '../_base_/default_runtime.py',
]

model = dict(method='mean')

# What tools/quickstart.sh compares methods on: the held-out embedded photographs, larger than those trained on. The
# model, which a test needs, is one without weights.
_base_ = [
    '../_base_/models/classical.py',
    '../_base_/datasets/sample_photos_256.py',
    '../_base_/default_runtime.py',
]

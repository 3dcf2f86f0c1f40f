# MI-GAN at 256 pixels, with public weights by tools/convert_migan.py, on the photographs, test masks and metrics of
# CAINet on Places2.
_base_ = [
    '../_base_/models/migan.py',
    '../_base_/datasets/places2.py',
    '../_base_/default_runtime.py',
]

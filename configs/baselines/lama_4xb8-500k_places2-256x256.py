# LaMa, with 9 blocks, on the photographs, masks, metrics and number of iterations of CAINet on Places2.
_base_ = [
    '../_base_/models/lama.py',
    '../_base_/datasets/places2.py',
    '../_base_/schedules/iterations_500k.py',
    '../_base_/default_runtime.py',
]

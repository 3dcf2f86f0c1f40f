# AOT-GAN on the photographs, masks, metrics and schedule of CAINet on Places2.
_base_ = [
    '../_base_/models/aot_gan.py',
    '../_base_/datasets/places2.py',
    '../_base_/schedules/iterations_500k.py',
    '../_base_/default_runtime.py',
]

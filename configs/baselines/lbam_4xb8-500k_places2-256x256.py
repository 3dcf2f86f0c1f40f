# LBAM on Places2; the schedule's Adam is LBAM's too, (0.5, 0.9) for the critic included.
_base_ = [
    '../_base_/models/lbam.py',
    '../_base_/datasets/places2.py',
    '../_base_/schedules/adam_wgan_500k.py',
    '../_base_/default_runtime.py',
]

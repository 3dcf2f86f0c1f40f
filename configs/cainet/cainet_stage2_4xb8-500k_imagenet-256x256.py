# Stage 2 with the paper's settings on ImageNet: joint training from stage 1's encoder.
_base_ = [
    '../_base_/models/cainet_from_stage1.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/adam_wgan_500k.py',
    '../_base_/default_runtime.py',
]

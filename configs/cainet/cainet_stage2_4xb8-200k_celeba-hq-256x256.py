# Stage 2 with the paper's settings on CelebA-HQ: joint training from stage 1's encoder.
_base_ = [
    '../_base_/models/cainet_from_stage1.py',
    '../_base_/datasets/celeba_hq.py',
    '../_base_/schedules/adam_wgan_200k.py',
    '../_base_/default_runtime.py',
]

# Stage 1 with the paper's settings: contrastive pre-training of the encoder on ImageNet.
_base_ = [
    '../_base_/models/siamese_moco.py',
    '../_base_/datasets/imagenet_two_masks.py',
    '../_base_/schedules/moco_sgd_2000k.py',
    '../_base_/default_runtime.py',
]

# where stage 2 looks for the encoder, whatever the name of this file
work_dir = 'work_dirs/cainet_stage1_imagenet'

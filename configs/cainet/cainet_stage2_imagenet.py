# Stage 2 with the paper's settings on ImageNet: joint training from stage 1's encoder.
_base_ = [
    '../_base_/models/cainet.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/adam_wgan_500k.py',
    '../_base_/default_runtime.py',
]

# where tools/train.py puts stage 1 by default
stage1_checkpoint = 'work_dirs/cainet_stage1_imagenet/iter_2000000.pth'

model = dict(
    encdec=dict(
        encoder=dict(init_cfg=dict(type='Pretrained', checkpoint=stage1_checkpoint, prefix='backbone.')),
    ),
)

# CAINet as stage 2 trains it, whatever the data set: from stage 1's encoder.
_base_ = ['./cainet.py']

# stage 1's work_dir, which is that of its config
stage1_checkpoint = 'work_dirs/cainet_stage1_imagenet/iter_2000000.pth'

model = dict(
    encdec=dict(
        encoder=dict(init_cfg=dict(type='Pretrained', checkpoint=stage1_checkpoint, prefix='backbone.')),
    ),
)

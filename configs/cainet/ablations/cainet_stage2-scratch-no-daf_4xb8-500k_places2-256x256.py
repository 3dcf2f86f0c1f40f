# Table II, without both: the encoder starts from random weights, each scale has a plain 1x1 convolution to an image.
_base_ = ['../cainet_stage2_4xb8-500k_places2-256x256.py']

model = dict(
    encdec=dict(
        encoder=dict(init_cfg=None),
        decoder=dict(fusion=dict(_delete_=True, type='ImageHead')),
    ),
)

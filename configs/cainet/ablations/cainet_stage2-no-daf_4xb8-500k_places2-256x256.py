# Table II, without the dual attention fusion: each scale has a plain 1x1 convolution to an image.
_base_ = ['../cainet_stage2_4xb8-500k_places2-256x256.py']

model = dict(encdec=dict(decoder=dict(fusion=dict(_delete_=True, type='ImageHead'))))

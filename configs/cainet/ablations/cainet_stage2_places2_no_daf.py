# Table II, without the dual attention fusion: each scale has a plain 1x1 convolution to an image.
_base_ = ['../cainet_stage2_places2.py']

model = dict(encdec=dict(decoder=dict(fusion=dict(_delete_=True, type='ImageHead'))))

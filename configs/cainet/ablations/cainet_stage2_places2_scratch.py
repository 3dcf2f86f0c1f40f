# Table II, without contrastive learning: the encoder starts from random weights.
_base_ = ['../cainet_stage2_places2.py']

model = dict(encdec=dict(encoder=dict(init_cfg=None)))

# Table II, without contrastive learning: the encoder starts from random weights.
_base_ = ['../cainet_stage2_4xb8-500k_places2-256x256.py']

model = dict(encdec=dict(encoder=dict(init_cfg=None)))

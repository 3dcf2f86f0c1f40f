# LaMa with 18 blocks ("big").
_base_ = ['./lama_places2.py']

model = dict(encdec=dict(generator=dict(num_blocks=18)))

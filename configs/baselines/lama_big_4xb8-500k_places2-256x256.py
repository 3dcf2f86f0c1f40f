# LaMa with 18 blocks ("big").
_base_ = ['./lama_4xb8-500k_places2-256x256.py']

model = dict(encdec=dict(generator=dict(num_blocks=18)))

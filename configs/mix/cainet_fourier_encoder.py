# CAINet with blocks of fast Fourier convolutions, LaMa's, behind the third stage of its encoder.
_base_ = ['../quickstart/stage2.py']

model = dict(
    encdec=dict(encoder=dict(type='FourierEncoder', block_stages=(2,), num_blocks=2, init_cfg=None)),
)

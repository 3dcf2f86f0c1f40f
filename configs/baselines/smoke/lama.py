# LaMa, thin, on the quickstart's photographs: shows that it trains, not what it can do.
_base_ = [
    '../../_base_/models/lama.py',
    '../../_base_/datasets/sample_photos.py',
    '../../_base_/smoke_runtime.py',
]

model = dict(
    encdec=dict(generator=dict(width=12, num_blocks=3)),
    # the network's weights are not at hand
    losses=dict(perceptual=None),
    disc=dict(widths=(8, 16, 32)),
)
optim_wrapper = dict(disc=dict(optimizer=dict(lr=1e-3)))

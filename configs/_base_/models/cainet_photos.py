# Stage 2 of the compact CAINet: the paper's terms, and more weight on the hole.
_base_ = ['./cainet.py', './cainet_compact.py']

model = dict(
    encdec=_base_.compact_generator,
    losses=dict(
        # L1 over the whole image, as the paper has it, is small where holes are: as much again inside them
        rec_hole=dict(
            type='MultiScaleLoss',
            scales=(1, 2, 3, 4, 5, 6),
            takes=('output', 'target', 'mask'),
            loss=dict(type='L1Loss', loss_weight=6.0, reduction='mean'),
        ),
        # L1 asks for the median of what may be in the hole, the square for the mean, which PSNR measures
        square_hole=dict(
            type='MultiScaleLoss',
            scales=(1, 2, 3, 4, 5, 6),
            takes=('output', 'target', 'mask'),
            loss=dict(type='MSELoss', loss_weight=12.0, reduction='mean'),
        ),
        # VGG-16 costs ten times what the network does: stage2_128_texture.py
        texture=None,
    ),
    critic_scales=(2, 3),
    disc=dict(widths=(16, 32, 64), kernel_size=3),
)

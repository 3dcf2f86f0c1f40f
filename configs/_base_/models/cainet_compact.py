# The network that the package ships: 2.6 M parameters, six stages, thin at full size, where a layer costs the most.
# The hole starts from a continuation of the colours around it and of the edges between them. The network sees that less
# its mean colour and has no norm layers, so that it answers alike to pictures of every tint and contrast; from scale to
# scale, coarsest first, it learns what is to be changed.
hole_fill = dict(type='EdgeFill')
compact_encoder = dict(
    type='CAINetEncoder',
    widths=(24, 48, 96, 160, 224, 256),
    kernels=(5, 3, 3, 3, 3, 3),
    norm_cfg=None,
)
compact_generator = dict(
    encoder=compact_encoder,
    decoder=dict(
        out_channels=(12, 24, 48, 96, 128, 192),
        progressive=True,
        norm_cfg=None,
        fusion=dict(hidden_channels=8, residual=True, norm_cfg=None),
    ),
    hole_fill=hole_fill,
    centred=True,
)

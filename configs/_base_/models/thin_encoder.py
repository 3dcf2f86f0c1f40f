# The encoder of both quickstart stages: thin, small kernels, for 64-pixel photographs on two cores. Layer norm instead
# of batch norm: with so few photographs in a batch, its statistics shift the colours of every one of them.
thin_norm = dict(type='GN', num_groups=1)
thin_encoder = dict(
    type='CAINetEncoder', widths=(16, 32, 48, 64, 96, 128), kernels=(3, 3, 3, 3, 3, 3), norm_cfg=thin_norm
)

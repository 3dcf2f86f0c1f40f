# Holes filled by edge-enhancing diffusion, which continues edges, where smooth_fill.py blurs them.
_base_ = ['./smooth_fill.py']

model = dict(method='edges')

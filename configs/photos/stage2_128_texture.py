# stage2_128.py with the perceptual and the style term of the paper: sharper, at ten times the cost of a step.
_base_ = ['./stage2_128.py']

vgg = 'torchvision://vgg16'  # or a file of its weights
model = dict(
    losses=dict(
        texture=dict(
            _delete_=True,
            type='MultiScaleLoss',
            scales=(1, 2, 3),
            loss=dict(type='TextureLoss', vgg=vgg, perceptual_weight=0.1, style_weight=240.0),
        ),
    ),
)

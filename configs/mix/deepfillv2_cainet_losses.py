# DeepFillv2 in MMagic's TwoStageInpaintor with CAINet's losses in place of its own: L1 over three scales, the texture
# loss, total variation around the hole.
_base_ = ['../baselines/smoke/deepfillv2.py']

model = dict(
    loss_l1_hole=dict(
        _delete_=True,
        type='MultiScaleLoss',
        scales=(1, 2, 3),
        takes=('output', 'target', 'mask'),
        loss=dict(type='L1Loss', loss_weight=1.0),
    ),
    loss_composed_percep=dict(
        type='MultiScaleLoss',
        scales=(1, 2),
        # random weights for this small run; 'torchvision://vgg16' fetches the real ones, a path reads them
        loss=dict(type='TextureLoss', vgg=None, perceptual_weight=0.1, style_weight=1.0, as_pair=True),
    ),
    loss_tv=dict(type='DilatedTVLoss', loss_weight=0.1),
    stage2_loss_type=('loss_l1_hole', 'loss_l1_valid', 'loss_composed_percep', 'loss_tv', 'loss_gan'),
)

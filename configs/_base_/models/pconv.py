# Partial convolutions (Liu et al., ECCV 2018) from MMagic, with the settings of its first stage of training, in which
# batch norm learns. Images come in RGB, as for every method here; the perceptual loss reads the weights that one names.
_base_ = ['mmagic::_base_/models/base_pconv.py']

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    encdec=dict(encoder=dict(norm_cfg=dict(requires_grad=True), norm_eval=False)),
    loss_composed_percep=dict(type='VGGPerceptualLoss'),
    train_cfg=dict(disc_step=0),
)
# the rate of MMagic's first stage; its second one goes on with 5e-5 and frozen batch norm in the encoder
optim_wrapper = dict(optimizer=dict(lr=2e-4))

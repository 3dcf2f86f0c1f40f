# Gated convolutions (DeepFillv2: Yu et al., ICCV 2019) from MMagic. Images come in RGB, as for every method here.
_base_ = ['mmagic::_base_/models/base_deepfillv2.py']

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    train_cfg=dict(disc_step=1, start_iter=0),
)

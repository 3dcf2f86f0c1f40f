# Contextual attention (DeepFillv1: Yu et al., CVPR 2018; "CA" in Table I) from MMagic. Images come in RGB, as
# for every method here. Its local critic looks at a window around the hole, which HoleBox places.
_base_ = ['mmagic::_base_/models/base_deepfillv1.py']

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    train_cfg=dict(disc_step=5, start_iter=0, local_size=(128, 128)),
)
# the inpaintor hands its two critics to the gradient penalty one by one
model_wrapper_cfg = dict(type='SplitDistributedDataParallel', split=('disc',))

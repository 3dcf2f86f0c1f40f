# Globally and locally consistent completion (Iizuka et al., SIGGRAPH 2017) from MMagic. Images come in RGB, as for each
# method here. Its local critic looks at a window around the hole, which HoleBox places.
_base_ = ['mmagic::_base_/models/base_gl.py']

model = dict(
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3, output_channel_order='RGB'),
    # Generator and critic learn together from the start, as in MMagic's config, which starts its count behind two
    # phases in which one of them learns alone. No checkpoint holds the count: phases would start again on resuming.
    train_cfg=dict(disc_step=1, start_iter=0, iter_tc=-1, iter_td=-1, local_size=(128, 128)),
)

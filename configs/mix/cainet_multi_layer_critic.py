# CAINet with MMagic's MultiLayerDiscriminator as its critic, without batch norm, which would tie the samples
# together and so break the gradient penalty.
_base_ = ['../quickstart/stage2.py']

model = dict(
    encdec=dict(encoder=dict(init_cfg=None)),
    disc=dict(
        _delete_=True,
        type='MultiLayerDiscriminator',
        in_channels=3,
        max_channels=64,
        num_convs=3,
        fc_in_channels=None,
        norm_cfg=None,
        act_cfg=dict(type='LeakyReLU', negative_slope=0.2),
        with_out_convs=True,
    ),
    critic_scales=(1,),
)

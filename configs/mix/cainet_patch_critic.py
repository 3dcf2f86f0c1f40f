# CAINet with MMagic's PatchDiscriminator as its critic, with instance norm: batch norm would tie the samples
# together and so break the gradient penalty.
_base_ = ['../quickstart/stage2.py']

model = dict(
    encdec=dict(encoder=dict(init_cfg=None)),
    disc=dict(
        _delete_=True, type='PatchDiscriminator', in_channels=3, base_channels=16, num_conv=2, norm_cfg=dict(type='IN')
    ),
    critic_scales=(1,),
)

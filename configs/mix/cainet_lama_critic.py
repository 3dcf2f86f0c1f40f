# CAINet with LaMa's critic: its patch scores, its logistic loss with the mask as the target of fakes, R1 in place of
# WGAN-GP's penalty, and its inner features matched.
_base_ = ['../quickstart/stage2.py']

model = dict(
    type='FeatureMatchingInpaintor',
    encdec=dict(encoder=dict(init_cfg=None)),
    disc=dict(_delete_=True, type='PatchCritic', widths=(8, 16, 32)),
    loss_gan=dict(_delete_=True, type='LogisticGANLoss', loss_weight=0.1),
    loss_gp=dict(type='R1Penalty', loss_weight=0.001 * 4),
    loss_fm=dict(type='FeatureMatchingLoss', loss_weight=1.0),
    critic_scales=(1,),
)

# Global&Local in MMagic's inpaintor with CAINet's critics, of the image and of the window around its hole.
_base_ = ['../baselines/smoke/global_local.py']

critic = dict(type='CAINetCritic', widths=(16, 32, 64), kernel_size=3)
model = dict(disc=dict(_delete_=True, type='GlobalLocalCritic', global_critic=critic, local_critic=critic))

# DeepFillv1 in MMagic's inpaintor with one norm per sample in its critics' gradient penalty, as WGAN-GP has it, in
# place of one at every pixel.
_base_ = ['../baselines/smoke/deepfillv1.py']

model = dict(loss_gp=dict(_delete_=True, type='SampleGradientPenalty', loss_weight=10.0))

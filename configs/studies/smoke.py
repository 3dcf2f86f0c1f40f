# All baselines and CAINet, thin, on the quickstart's photographs; give it a budget, such as --images 4800. It shows
# that everything trains and can be compared, not which method is better. CAINet comes with and without its stage 1,
# whose images are on top of the budget.
data = '../quickstart/stage2.py'
reference = 'CAINet'

cainet = dict(config='../quickstart/stage2.py')
stage1 = dict(config='../quickstart/stage1.py', into='model.encdec.encoder.init_cfg.checkpoint')

methods = {
    'Telea': dict(config='../baselines/telea.py'),
    'Navier-Stokes': dict(config='../baselines/navier_stokes.py'),
    'PConv': dict(config='../baselines/smoke/pconv.py'),
    'DeepFillv1': dict(config='../baselines/smoke/deepfillv1.py'),
    'DeepFillv2': dict(config='../baselines/smoke/deepfillv2.py'),
    'Global&Local': dict(config='../baselines/smoke/global_local.py'),
    'AOT-GAN': dict(config='../baselines/smoke/aot_gan.py'),
    'DFNet': dict(config='../baselines/smoke/dfnet.py'),
    'LBAM': dict(config='../baselines/smoke/lbam.py'),
    'LaMa': dict(config='../baselines/smoke/lama.py'),
    'CAINet, no stage 1': dict(cainet, options={'model.encdec.encoder.init_cfg': None}),
    'CAINet': dict(cainet, encoder=stage1),
}

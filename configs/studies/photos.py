# The network that comes with the package beside others, on held-out photographs of a folder (data/photos, with lists).
# DFNet, LBAM, PConv, AOT-GAN and the first part of the network's own training see the same photographs at 64 pixels,
# an equal number of them: give a budget, such as --images 20000. The shipped one went on to 128 and 256 pixels and
# saw more; what it saw is noted in its file.
data = '../photos/stage2_128.py'
reference = 'CAINet, shipped'

methods = {
    'mean colour': dict(config='../baselines/mean_colour.py'),
    'Telea': dict(config='../baselines/telea.py'),
    'Navier-Stokes': dict(config='../baselines/navier_stokes.py'),
    'PConv': dict(config='../baselines/photos/pconv.py'),
    'AOT-GAN': dict(config='../baselines/photos/aot_gan.py'),
    'DFNet': dict(config='../baselines/photos/dfnet.py'),
    'LBAM': dict(config='../baselines/photos/lbam.py'),
    'CAINet': dict(
        config='../photos/stage2_64.py',
        encoder=dict(config='../photos/stage1_64.py', into='model.encdec.encoder.init_cfg.checkpoint'),
    ),
    'CAINet, shipped': dict(config='cainet-photos'),
}

# What stage 1 does for stage 2: contrast as in the paper, SimSiam, masked auto-encoding, none. The network of
# configs/photos at 64 pixels on a folder of photographs; give it a budget, such as --images 4800, and once each
# --seed 0, 1 and 2, into folders of their own. Settings are those of table2_photos.py: MoCo is its row with both, none
# the one of DAF alone.
data = '../photos/stage2_64.py'
reference = 'none'

stage2 = '../photos/stage2_64.py'
plain = {
    'model.encdec.centred': False,
    'model.encdec.hole_fill.type': 'SmoothFill',
    'model.encdec.decoder.fusion.residual': False,
}
plain_encoder = {'model.data_preprocessor.centred': False, 'model.data_preprocessor.hole_fill.type': 'SmoothFill'}


def pretrained(config):
    encoder = dict(config=config, options=plain_encoder, into='model.encdec.encoder.init_cfg.checkpoint')
    return dict(config=stage2, options=plain, encoder=encoder)


methods = {
    'none': dict(config=stage2, options={**plain, 'model.encdec.encoder.init_cfg': None}),
    'MoCo': pretrained('../photos/stage1_64.py'),
    'SimSiam': pretrained('../photos/stage1_64_simsiam.py'),
    'masked auto-encoding': pretrained('../photos/stage1_64_masked_autoencoder.py'),
}
del pretrained

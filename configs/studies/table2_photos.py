# Table II's four variants of the network of configs/photos at 64 pixels, on a folder of photographs; give it a budget,
# such as --images 16000, and once each --seed 0, 1 and 2, into folders of their own.
data = '../photos/stage2_64.py'
reference = 'both'

stage2 = '../photos/stage2_64.py'
# Without DAF nothing tells a scale's image its mean colour but the features, so none of the four takes that off them,
# nor adds to the filled image. The hole starts from the smooth fill, as in the runs of the documentation's table.
plain = {'model.encdec.centred': False, 'model.encdec.hole_fill.type': 'SmoothFill'}
daf = {**plain, 'model.encdec.decoder.fusion.residual': False}
no_daf = {**plain, 'model.encdec.decoder.fusion': dict(_delete_=True, type='ImageHead')}
scratch = {'model.encdec.encoder.init_cfg': None}
encoder = dict(
    config='../photos/stage1_64.py',
    options={'model.data_preprocessor.centred': False, 'model.data_preprocessor.hole_fill.type': 'SmoothFill'},
    into='model.encdec.encoder.init_cfg.checkpoint',
)
methods = {
    'neither': dict(config=stage2, options={**no_daf, **scratch}),
    'contrastive learning': dict(config=stage2, options=no_daf, encoder=encoder),
    'DAF': dict(config=stage2, options={**daf, **scratch}),
    'both': dict(config=stage2, options=daf, encoder=encoder),
}

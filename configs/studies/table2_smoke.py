# Table II's four variants, thin, on the quickstart's photographs: shows that they train and can be compared.
data = '../quickstart/stage2.py'
reference = 'both'

stage2 = '../quickstart/stage2.py'
encoder = dict(config='../quickstart/stage1.py', into='model.encdec.encoder.init_cfg.checkpoint')
scratch = {'model.encdec.encoder.init_cfg': None}
no_daf = {'model.encdec.decoder.fusion': dict(_delete_=True, type='ImageHead')}
methods = {
    'neither': dict(config=stage2, options={**scratch, **no_daf}),
    'contrastive learning': dict(config=stage2, options=no_daf, encoder=encoder),
    'DAF': dict(config=stage2, options=scratch),
    'both': dict(config=stage2, encoder=encoder),
}

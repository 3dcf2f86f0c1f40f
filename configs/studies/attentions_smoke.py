# The dual attention fusion against other attentions in CAINet's decoder, thin, from random weights, on the quickstart's
# photographs; give it a budget, such as --images 28800, and once each --seed 0, 1 and 2, into folders of their own.
data = '../quickstart/stage2.py'
reference = 'DAF'

stage2 = '../quickstart/stage2.py'
scratch = {'model.encdec.encoder.init_cfg': None}
place = 'model.encdec.decoder.fusion'
methods = {
    'none': dict(config=stage2, options={**scratch, place: dict(_delete_=True, type='ImageHead')}),
    'SE': dict(config=stage2, options={**scratch, place: dict(_delete_=True, type='AttentionHead', attention='se')}),
    'CBAM': dict(
        config=stage2, options={**scratch, place: dict(_delete_=True, type='AttentionHead', attention='cbam')}
    ),
    'non-local': dict(
        config=stage2, options={**scratch, place: dict(_delete_=True, type='AttentionHead', attention='non_local')}
    ),
    'alpha only (DFNet)': dict(
        config=stage2,
        options={
            **scratch,
            place: dict(_delete_=True, type='AlphaFusion', hidden_channels=8, norm_cfg=dict(type='GN', num_groups=1)),
        },
    ),
    'DAF': dict(config=stage2, options=scratch),
}

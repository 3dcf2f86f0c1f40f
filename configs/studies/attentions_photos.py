# The dual attention fusion against other attentions in the decoder of configs/photos, at 64 pixels, from random
# weights, on a folder of photographs; give it a budget, such as --images 4800, and once each --seed 0, 1 and 2, into
# folders of their own. Settings are those of table2_photos.py: DAF and none are its rows without contrastive learning.
data = '../photos/stage2_64.py'
reference = 'DAF'

stage2 = '../photos/stage2_64.py'
plain = {
    'model.encdec.centred': False,
    'model.encdec.hole_fill.type': 'SmoothFill',
    'model.encdec.encoder.init_cfg': None,
}
place = 'model.encdec.decoder.fusion'
methods = {
    'none': dict(config=stage2, options={**plain, place: dict(_delete_=True, type='ImageHead')}),
    'SE': dict(config=stage2, options={**plain, place: dict(_delete_=True, type='AttentionHead', attention='se')}),
    'CBAM': dict(config=stage2, options={**plain, place: dict(_delete_=True, type='AttentionHead', attention='cbam')}),
    'non-local': dict(
        config=stage2, options={**plain, place: dict(_delete_=True, type='AttentionHead', attention='non_local')}
    ),
    'alpha only (DFNet)': dict(
        config=stage2,
        options={**plain, place: dict(_delete_=True, type='AlphaFusion', hidden_channels=8, norm_cfg=None)},
    ),
    'DAF': dict(config=stage2, options={**plain, f'{place}.residual': False}),
}

# Table II on Places2: with and without contrastive learning, with and without the dual attention fusion.
data = '../cainet/evaluation/places2_irregular.py'
reference = 'both'

encoder = dict(config='../cainet/cainet_stage1_imagenet.py', into='model.encdec.encoder.init_cfg.checkpoint')
methods = {
    'neither': dict(config='../cainet/ablations/cainet_stage2_places2_scratch_no_daf.py'),
    'contrastive learning': dict(config='../cainet/ablations/cainet_stage2_places2_no_daf.py', encoder=encoder),
    'DAF': dict(config='../cainet/ablations/cainet_stage2_places2_scratch.py'),
    'both': dict(config='../cainet/cainet_stage2_places2.py', encoder=encoder),
}

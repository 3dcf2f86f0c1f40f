# Table II on Places2: with and without contrastive learning, with and without the dual attention fusion.
data = '../cainet/evaluation/places2_irregular.py'
reference = 'both'

encoder = dict(
    config='../cainet/cainet_stage1_4xb32-2000k_imagenet-256x256.py', into='model.encdec.encoder.init_cfg.checkpoint'
)
methods = {
    'neither': dict(config='../cainet/ablations/cainet_stage2-scratch-no-daf_4xb8-500k_places2-256x256.py'),
    'contrastive learning': dict(
        config='../cainet/ablations/cainet_stage2-no-daf_4xb8-500k_places2-256x256.py', encoder=encoder
    ),
    'DAF': dict(config='../cainet/ablations/cainet_stage2-scratch_4xb8-500k_places2-256x256.py'),
    'both': dict(config='../cainet/cainet_stage2_4xb8-500k_places2-256x256.py', encoder=encoder),
}

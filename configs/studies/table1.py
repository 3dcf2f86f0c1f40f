# Table I and its kin on Places2: every method at the length, batch and photographs of CAINet's stage 2. tools/ablate.py
# takes it on 4 GPUs (--gpus 4), at the full length or a budget; FID and LPIPS are taken where their weights are there.
data = '../cainet/cainet_stage2_places2.py'
reference = 'CAINet'

methods = {
    'PConv': dict(config='../baselines/pconv_places2.py'),
    'CA (DeepFillv1)': dict(config='../baselines/deepfillv1_places2.py'),
    'DeepFillv2': dict(config='../baselines/deepfillv2_places2.py'),
    'Global&Local': dict(config='../baselines/global_local_places2.py'),
    'AOT-GAN': dict(config='../baselines/aot_gan_places2.py'),
    'DFNet': dict(config='../baselines/dfnet_places2.py'),
    'LBAM': dict(config='../baselines/lbam_places2.py'),
    'LaMa': dict(config='../baselines/lama_places2.py'),
    'CAINet': dict(
        config='../cainet/cainet_stage2_places2.py',
        encoder=dict(config='../cainet/cainet_stage1_imagenet.py', into='model.encdec.encoder.init_cfg.checkpoint'),
    ),
}

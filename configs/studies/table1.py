# Table I and more on Places2: every method at the length, batch and photographs of CAINet's stage 2. tools/ablate.py
# takes it on 4 GPUs (--gpus 4), at the full length or a budget; FID and LPIPS are taken where their weights are there.
data = '../cainet/cainet_stage2_4xb8-500k_places2-256x256.py'
reference = 'CAINet'

methods = {
    'PConv': dict(config='../baselines/pconv_stage1_4xb8-500k_places2-256x256.py'),
    'CA (DeepFillv1)': dict(config='../baselines/deepfillv1_4xb8-500k_places2-256x256.py'),
    'DeepFillv2': dict(config='../baselines/deepfillv2_4xb8-500k_places2-256x256.py'),
    'Global&Local': dict(config='../baselines/global-local_4xb8-500k_places2-256x256.py'),
    'AOT-GAN': dict(config='../baselines/aot-gan_4xb8-500k_places2-256x256.py'),
    'DFNet': dict(config='../baselines/dfnet_4xb8-500k_places2-256x256.py'),
    'LBAM': dict(config='../baselines/lbam_4xb8-500k_places2-256x256.py'),
    'LaMa': dict(config='../baselines/lama_4xb8-500k_places2-256x256.py'),
    'CAINet': dict(
        config='../cainet/cainet_stage2_4xb8-500k_places2-256x256.py',
        encoder=dict(
            config='../cainet/cainet_stage1_4xb32-2000k_imagenet-256x256.py',
            into='model.encdec.encoder.init_cfg.checkpoint',
        ),
    ),
}

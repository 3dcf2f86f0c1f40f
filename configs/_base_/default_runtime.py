custom_imports = dict(imports=['cainet_mm'], allow_failed_imports=False)
default_scope = 'mmagic'

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    # the metrics of a validation are those of an iteration
    logger=dict(type='LoggerHook', interval=100, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='AtomicCheckpointHook', interval=10000, by_epoch=False, max_keep_ckpts=3),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    unwrap_state_dict=dict(type='UnwrapStateDictHook'),
    broadcast_buffers=dict(type='BroadcastBuffersHook'),
    step_state=dict(type='StepStateHook'),
    save_on_signal=dict(type='SaveOnSignalHook'),
    bad_images=dict(type='BadImagesHook'),
    finite=dict(type='FiniteHook'),
    critic=dict(type='CriticHook'),
    pictures=dict(type='TrainingPicturesHook'),
)

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='ConcatImageVisualizer',
    vis_backends=vis_backends,
    fn_key='gt_path',
    img_keys=['gt_img', 'input', 'pred_img'],
    bgr2rgb=True,
)

log_level = 'INFO'
log_processor = dict(type='LogProcessor', by_epoch=False)

load_from = None
resume = False

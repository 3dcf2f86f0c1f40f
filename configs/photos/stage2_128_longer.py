# Goes on at 128 pixels from the weights of stage2_128.py, for three times as long: a second cosine from a high rate,
# the gradient penalty in every fourth update of the critic, and a quarter flat colours, gradients and edges.
# The shipped network goes on in stage2_128_edges.py.
_base_ = ['./stage2_128.py']

load_from = 'work_dirs/photos/stage2_128/iter_4500.pth'
model = dict(train_cfg=dict(penalty_interval=4))
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            dict(step, prob=0.25) if step['type'] == 'RandomPlainPicture' else step
            for step in _base_.train_dataloader.dataset.pipeline
        ]
    )
)
optim_wrapper = dict(generator=dict(optimizer=dict(lr=1e-3)))

max_iters = 14000
train_cfg = dict(max_iters=max_iters)
param_scheduler = [
    dict(type='LinearLR', by_epoch=False, start_factor=0.05, end=200),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=200, end=max_iters, eta_min_ratio=0.01),
]
randomness = dict(seed=1)

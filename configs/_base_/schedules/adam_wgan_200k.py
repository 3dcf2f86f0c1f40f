# Stage 2: Adam with the paper's learning rate for the generator and for the critic.
# Our choice, since the paper names no number: in batches of 32, some 230 times through CelebA-HQ and 430 times
# through Paris StreetView.
train_cfg = dict(type='IterBasedTrainLoop', max_iters=200_000, val_interval=10_000)

# lr is the paper's, and constant, since it names no schedule. Our choice for what it leaves open: torch's betas for the
# generator; a shorter memory for the critic, whose task changes with every step of the generator, as is usual with
# WGAN-GP; no weight decay; no clipping; no moving average of the weights.
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999))),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.9))),
)

# for tools/train.py --auto-scale-lr: the global batch that the rates were set for, 4 GPUs with 8
auto_scale_lr = dict(enable=False, base_batch_size=32)

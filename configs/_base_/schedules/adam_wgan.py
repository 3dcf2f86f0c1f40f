# Stage 2: Adam with the paper's learning rate for the generator and for the critic; adam_wgan_200k.py and
# adam_wgan_500k.py have it for a number of iterations.

# lr is the paper's, and constant, since it names no schedule. Our choice for what it leaves open: torch's betas for the
# generator; a shorter memory for the critic, whose task changes with every step of the generator, as is usual with
# WGAN-GP; no weight decay; no clipping; no moving average of the weights.
optim_wrapper = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.9, 0.999))),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-4, betas=(0.5, 0.9))),
)

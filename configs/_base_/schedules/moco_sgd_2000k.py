# Stage 1: SGD with the paper's learning rate.
# The paper: "until convergence". Our choice, as in MoCo: 200 times through ILSVRC 2012, in batches of 128.
max_iters = 2_000_000
train_cfg = dict(type='ResumableTrainLoop', max_iters=max_iters)

optim_wrapper = dict(
    type='OptimWrapper',
    # lr is the paper's; momentum and weight decay are our choice, those of MoCo
    optimizer=dict(type='SGD', lr=0.015, momentum=0.9, weight_decay=1e-4),
)
# our choice, MoCo's: a tenth of the rate after 60 % and again after 80 % of the training
param_scheduler = dict(
    type='MultiStepLR', by_epoch=False, milestones=[max_iters * 6 // 10, max_iters * 8 // 10], gamma=0.1
)

# for tools/train.py --auto-scale-lr: the global batch that the rate was set for, 4 GPUs with 32
auto_scale_lr = dict(enable=False, base_batch_size=128)

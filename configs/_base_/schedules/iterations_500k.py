# How long stage 2 trains on Places2 and ImageNet, and any method that is compared with it there.
# Our choice, since the paper names no number: in batches of 32, 9 times through Places365-Standard, twice through
# Places365-Challenge, 12 times through ILSVRC 2012.
train_cfg = dict(type='ResumableTrainLoop', max_iters=500_000, val_interval=10_000)

# for tools/train.py --auto-scale-lr: the global batch that the rates were set for, 4 GPUs with 8
auto_scale_lr = dict(enable=False, base_batch_size=32)

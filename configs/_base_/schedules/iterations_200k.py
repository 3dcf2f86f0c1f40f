# How long stage 2 trains on CelebA-HQ and Paris StreetView, and any method that is compared with it there.
# Our choice, since the paper names no number: in batches of 32, some 230 times through CelebA-HQ and 430 times
# through Paris StreetView.
train_cfg = dict(type='ResumableTrainLoop', max_iters=200_000, val_interval=10_000)

# for tools/train.py --auto-scale-lr: the global batch that the rates were set for, 4 GPUs with 8
auto_scale_lr = dict(enable=False, base_batch_size=32)

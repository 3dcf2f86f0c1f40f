# ImageNet (ILSVRC 2012) for stage 2: its training and validation images.
_base_ = ['./photos_256.py']

data_root = 'data/imagenet'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

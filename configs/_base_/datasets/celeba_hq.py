# CelebA-HQ: 28 000 images for training and 2 000 for test, drawn by the seed of tools/prepare_data.py.
_base_ = ['./photos_256.py']

data_root = 'data/celeba_hq'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

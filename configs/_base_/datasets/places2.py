# Places2 (Places365): its training and validation images; the paper tests on the latter.
_base_ = ['./photos_256.py']

data_root = 'data/places2'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

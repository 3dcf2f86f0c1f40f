# Paris StreetView: its 14 900 training and 100 evaluation images.
_base_ = ['./photos_256.py']

data_root = 'data/paris_streetview'

train_dataloader = dict(dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = dict(dataset=dict(data_root=data_root))

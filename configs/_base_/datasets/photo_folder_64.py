# Any folder of photographs, at 64 pixels, with holes of free form. tools/train_photos.sh writes the lists.
_base_ = ['./photo_folder_stage2.py', '../masks/free_form_64.py']

# crops of a share of a photograph's area, so that things are seen at several sizes
crop_share = (0.1, 0.8)

load, crop, *changes, hide, pack = _base_.train_dataloader.dataset.pipeline
crop = dict(crop, crop_size=_base_.image_size, scale=crop_share)
train_dataloader = dict(dataset=dict(pipeline=[load, crop, *changes, _base_.draw_mask, hide, pack]))

load, shrink, crop, hide, pack = _base_.val_dataloader.dataset.pipeline
shrink = dict(shrink, scale=(-1, 64))
crop = dict(crop, crop_size=_base_.image_size)
val_dataloader = dict(dataset=dict(pipeline=[load, shrink, crop, _base_.draw_fixed_mask, hide, pack]))
test_dataloader = val_dataloader
del load, crop, changes, shrink, hide, pack

# Places2 under a set of masks on disk. Another set, and one bucket of hole sizes of a set:
#   P=test_dataloader.dataset.pipeline.3.transforms.0
#   --cfg-options $P.prefix=data/masks/buckets_256 $P.mask_list_file=data/masks/buckets_256/20-30.txt
_base_ = ['../cainet_stage2_4xb8-500k_places2-256x256.py', '../../_base_/masks/from_disk_256.py']

# The paper reports the network's output without composing it with the known pixels.
model = dict(test_cfg=dict(compose=False))

*photo, _, hide, pack = _base_.test_dataloader.dataset.pipeline
mask = _base_.draw_mask_from_disk
test_dataloader = dict(dataset=dict(pipeline=[*photo, mask, hide, pack]))
del photo, _, hide, pack, mask
# tools/compare.py tests under these masks alone
test_masks = None

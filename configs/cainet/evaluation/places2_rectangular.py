# The upper half of Table I: Places2 under rectangular masks, each image with its own, the same in every run.
_base_ = ['../cainet_stage2_4xb8-500k_places2-256x256.py']

# The paper reports the network's output without composing it with the known pixels.
model = dict(test_cfg=dict(compose=False))

*photo, _, hide, pack = _base_.test_dataloader.dataset.pipeline
mask = dict(type='SeededByImage', transforms=[_base_.draw_rectangle])
test_dataloader = dict(dataset=dict(pipeline=[*photo, mask, hide, pack]))
del photo, _, hide, pack, mask
# tools/compare.py tests under these masks alone
test_masks = None

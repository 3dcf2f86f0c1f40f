# The lower half of Table I: Places2 under irregular masks, each image with its own, the same in every run.
_base_ = ['../cainet_stage2_4xb8-500k_places2-256x256.py']

# The paper reports the network's output without composing it with the known pixels.
model = dict(test_cfg=dict(compose=False))

test_dataloader = dict(
    dataset=dict(
        pipeline=[
            _base_.load_photo,
            _base_.shrink_photo,
            dict(type='Crop', keys=['gt'], crop_size=_base_.image_size, random_crop=False),
            dict(type='SeededByImage', transforms=[_base_.draw_strokes]),
            dict(type='GetMaskedImage'),
            dict(type='PackInputs'),
        ]
    )
)
# tools/compare.py tests under these masks alone
test_masks = None

# LaMa's "large" training masks for 256x256 images: polylines with wide brushes, or boxes, with equal probability.
# Inherit it beside a config that has masks of its own, as lama_large-masks_*.py in configs/baselines does.
large_strokes = [
    dict(
        type='LoadMask',
        mask_mode='irregular',
        # numbers and lengths are below the upper limits
        mask_config=dict(
            img_shape=(256, 256),
            num_vertices=(1, 6),
            max_angle=4,
            length_range=(10, 201),
            brush_width=(5, 101),
            area_ratio_range=(0.0, 1.0),
        ),
    )
]
large_boxes = [dict(type='DrawBoxes', size=(256, 256), count=(1, 4), side=(30, 150), margin=10)]
draw_large_mask = dict(
    type='KeyMapper',
    transforms=[dict(type='RandomChoice', transforms=[large_strokes, large_boxes], prob=[0.5, 0.5])],
    remapping=dict(mask='mask'),
)

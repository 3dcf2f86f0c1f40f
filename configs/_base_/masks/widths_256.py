# Test masks of three widths for 256x256 images, thin, medium and thick, in the manner of LaMa's evaluation: chains of
# strokes, and boxes in a part of them. Thick strokes and boxes are those of large_256.py; numbers and lengths are below
# the upper limits.
image_size = (256, 256)

stroke = dict(img_shape=image_size, max_angle=4, area_ratio_range=(0.0, 0.5))
thin = [
    dict(
        type='LoadMask',
        mask_mode='irregular',
        mask_config=dict(stroke, num_vertices=(4, 51), length_range=(10, 41), brush_width=(5, 11)),
    )
]
medium = [
    dict(
        type='LoadMask',
        mask_mode='irregular',
        mask_config=dict(stroke, num_vertices=(4, 6), length_range=(10, 101), brush_width=(5, 51)),
    )
]
thick = [
    dict(
        type='LoadMask',
        mask_mode='irregular',
        mask_config=dict(stroke, num_vertices=(1, 6), length_range=(10, 201), brush_width=(5, 101)),
    )
]
medium_boxes = [dict(type='DrawBoxes', size=image_size, count=(1, 5), side=(10, 50), margin=0)]
thick_boxes = [dict(type='DrawBoxes', size=image_size, count=(1, 4), side=(30, 150), margin=10)]


def with_boxes(strokes, boxes):
    return dict(
        type='KeyMapper',
        transforms=[dict(type='RandomChoice', transforms=[strokes, boxes], prob=[0.7, 0.3])],
        remapping=dict(mask='mask'),
    )


test_masks = dict(
    thin=[dict(type='KeyMapper', transforms=thin, remapping=dict(mask='mask'))],
    medium=[with_boxes(medium, medium_boxes)],
    thick=[with_boxes(thick, thick_boxes)],
)
del with_boxes

# Rectangular and irregular holes for 128x128 images, half and half: those for 256x256 at half their size.
image_size = (128, 128)

rectangles = [
    dict(
        type='LoadMask',
        mask_mode='bbox',
        mask_config=dict(img_shape=image_size, max_bbox_shape=64, max_bbox_delta=20, min_margin=10),
    )
]
strokes = [
    dict(
        type='LoadMask',
        mask_mode='ff',
        mask_config=dict(
            img_shape=image_size, num_vertices=(4, 12), mean_angle=1.2, angle_range=0.4, brush_width=(6, 20)
        ),
    ),
    # the generator draws its strokes in one direction; MMagic's drops the flips that belong to it
    dict(type='Flip', keys=['mask'], direction='horizontal'),
    dict(type='Flip', keys=['mask'], direction='vertical'),
]
mask_mixture = dict(type='RandomChoice', transforms=[rectangles, strokes], prob=[0.5, 0.5])

# Nothing but the mask leaves the mixture: the notes that only one of its branches makes would differ within a batch.
draw_mask = dict(type='KeyMapper', transforms=[mask_mixture], remapping=dict(mask='mask'))
draw_query_mask = dict(type='KeyMapper', transforms=[mask_mixture], remapping=dict(mask='mask_q'))
draw_key_mask = dict(type='KeyMapper', transforms=[mask_mixture], remapping=dict(mask='mask_k'))
# one kind alone
draw_rectangle = dict(type='KeyMapper', transforms=rectangles, remapping=dict(mask='mask'))
draw_strokes = dict(type='KeyMapper', transforms=strokes, remapping=dict(mask='mask'))
# validation and test: each image has its own mask, the same in every run
draw_fixed_mask = dict(type='SeededByImage', transforms=[draw_mask])
# what tools/compare.py tests under: the two halves of Table I
test_masks = dict(rectangular=[draw_rectangle], irregular=[draw_strokes])

# Rectangular and irregular holes for 128x128 images, half and half: those of free_form_256.py at half their size.
_base_ = ['./free_form_256.py']

image_size = (128, 128)
boxes = dict(img_shape=image_size, max_bbox_shape=64, max_bbox_delta=20, min_margin=10)
rectangles = [dict(_base_.rectangles[0], mask_config=boxes)]
brushes = dict(_base_.strokes[0].mask_config, img_shape=image_size, brush_width=(6, 20))
strokes = [dict(_base_.strokes[0], mask_config=brushes), *_base_.strokes[1:]]
del boxes, brushes

# A list is not merged into the one that it inherits, so each step that has one of the two in it gets it here.
mask_mixture = dict(_base_.mask_mixture, transforms=[rectangles, strokes])
draw_mask = dict(_base_.draw_mask, transforms=[mask_mixture])
draw_query_mask = dict(transforms=[mask_mixture])
draw_key_mask = dict(transforms=[mask_mixture])
draw_rectangle = dict(_base_.draw_rectangle, transforms=rectangles)
draw_strokes = dict(_base_.draw_strokes, transforms=strokes)
draw_fixed_mask = dict(transforms=[draw_mask])
test_masks = dict(rectangular=[draw_rectangle], irregular=[draw_strokes])

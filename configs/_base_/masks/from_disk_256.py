# Masks from a set on disk, such as tools/make_masks.py writes; inherit it beside a config that has masks of its own:
# see configs/cainet/evaluation/places2_mask_set.py.
mask_folder = 'data/masks/irregular_256'

# The seed of the image picks the mask, so each image has the same one in every run. It goes by the image's name in the
# list and by the number of masks.
draw_mask_from_disk = dict(
    type='SeededByImage',
    transforms=[
        dict(type='LoadHoleFromSet', mask_list_file=f'{mask_folder}/masks.txt', prefix=mask_folder),
    ],
)

# MI-GAN at 512 pixels, with public weights by tools/convert_migan.py. It takes no smaller images, so it has no test
# photographs of its own: tools/compare.py takes it on a folder, with --image-size 512.
_base_ = [
    '../_base_/models/migan.py',
    '../_base_/default_runtime.py',
]

image_size = (512, 512)
model = dict(encdec=dict(size=512))

# PConv with a dual attention fusion on what its last layer puts out, in MMagic's own inpaintor. The fused image takes
# the image's place, beside the mask.
_base_ = ['../baselines/smoke/pconv.py']

model = dict(
    encdec=dict(
        _delete_=True,
        type='FusedGenerator',
        generator=_base_.model.encdec,
        form='pair',
        features=['decoder.dec1'],
        output='finest',
        place=0,
    )
)

# DeepFillv2 with a dual attention fusion on the last feature of its second stage, in MMagic's own inpaintor. The fused
# image takes the second stage's place.
_base_ = ['../baselines/smoke/deepfillv2.py']

model = dict(
    encdec=dict(
        _delete_=True,
        type='FusedGenerator',
        generator=_base_.model.encdec,
        form='view_with_ones',
        features=['stage2.decoder.dec6'],
        output='finest',
    )
)

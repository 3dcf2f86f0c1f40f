# Contrastive pre-training of DeepFill's encoder, gated and thin, on the quickstart's photographs.
# deepfillv2_from_moco.py goes on.
_base_ = ['../_base_/moco_smoke.py']

model = dict(
    backbone=dict(
        _delete_=True,
        type='ViewEncoder',
        form='view_with_ones',
        encoder=dict(type='DeepFillEncoder', conv_type='gated_conv', channel_factor=0.25, padding_mode='reflect'),
    ),
    neck=dict(in_channels=32),
)

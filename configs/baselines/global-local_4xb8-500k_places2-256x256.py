# Global&Local on the photographs, masks, metrics and schedule of CAINet on Places2.
_base_ = [
    '../_base_/models/global_local.py',
    '../_base_/datasets/places2.py',
    '../_base_/schedules/iterations_500k.py',
    '../_base_/default_runtime.py',
]

# the window that the local critic looks at
train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.train_dataloader.dataset.pipeline[:-1],
            dict(type='HoleBox', size=(128, 128)),
            dict(type='PackInputs'),
        ]
    ),
)

# LaMa trained under its own large masks; it is tested under those of every other method.
_base_ = ['./lama_4xb8-500k_places2-256x256.py', '../_base_/masks/large_256.py']

train_dataloader = dict(
    dataset=dict(
        pipeline=[
            *_base_.train_dataloader.dataset.pipeline[:-3],
            _base_.draw_large_mask,
            *_base_.train_dataloader.dataset.pipeline[-2:],
        ]
    )
)

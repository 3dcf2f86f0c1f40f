"""Batches of images of differing sizes, which a network takes one by one."""

from collections.abc import Callable

from mmengine.model import BaseModel


def by_size(step: Callable[[dict], list]) -> Callable[[dict], list]:
    """Let a model's step take a batch whose images differ in size, which cannot be one tensor, image by image.

    Args:
        step: The model's ``val_step`` or ``test_step``.

    Returns:
        A step that gives the same predictions, in their order.
    """

    def step_by_size(batch: dict) -> list:
        inputs = batch.get('inputs') if isinstance(batch, dict) else None
        if not isinstance(inputs, list) or len({getattr(image, 'shape', None) for image in inputs}) == 1:
            return step(batch)
        singles = ({key: values[index : index + 1] for key, values in batch.items()} for index in range(len(inputs)))
        return [sample for single in singles for sample in step(single)]

    return step_by_size


def let_sizes_differ(model: BaseModel) -> None:
    """Let a model, or its wrapper, be validated and tested on batches of images of differing sizes."""
    model.val_step, model.test_step = by_size(model.val_step), by_size(model.test_step)

"""Validation and test on images of differing sizes, and on images with a hole only."""

from collections.abc import Callable

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...datasets.errors import BadImageError
from ...evaluation.comparison import split_batch

Step = Callable[[dict], list]


def by_size(step: Step) -> Step:
    """A step that passes a batch of images of differing sizes, which cannot be one tensor, on image by image."""

    def step_by_size(batch: dict) -> list:
        inputs = batch.get('inputs') if isinstance(batch, dict) else None
        if not isinstance(inputs, list) or len({getattr(image, 'shape', None) for image in inputs}) == 1:
            return step(batch)
        return [sample for single in split_batch(batch) for sample in step(single)]

    return step_by_size


def with_holes(step: Step) -> Step:
    """A step that raises :class:`BadImageError` for an image without a hole, whose PSNR would be infinite."""

    def step_with_holes(batch: dict) -> list:
        samples = batch.get('data_samples') if isinstance(batch, dict) else None
        for sample in samples if isinstance(samples, list) else ():
            mask = getattr(sample, 'mask', None)
            if mask is not None and not (mask > 0).any():
                raise BadImageError(
                    f'The image {sample.metainfo.get("gt_path", "")} has no hole, and so no metrics; give it a mask '
                    'with one, or take it out of the test set.'
                )
        return step(batch)

    return step_with_holes


@HOOKS.register_module()
class EvaluationStepsHook(Hook):
    """Lets a model be validated on images of differing sizes, and tested only on images that have a hole.

    The tools register it. It acts when the run begins: a strategy of MMEngine's ``FlexibleRunner`` has
    no model before.
    """

    def before_run(self, runner: Runner) -> None:
        model = runner.model
        model.val_step, model.test_step = by_size(model.val_step), with_holes(by_size(model.test_step))

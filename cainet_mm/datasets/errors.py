"""Errors of images and masks."""

import traceback

import numpy as np


class BadImageError(ValueError):
    """An image that cannot be used; the message names the file, what was found and what is accepted.

    A data set skips such an image with a warning, up to a share of bad images.
    """


class BadMaskError(ValueError):
    """A mask of a set that is meant for every photograph cannot be used, which ends the run."""


class TooManyBadImagesError(ValueError):
    """More images are bad than the data set may skip."""


def mask_of_another_size(error: Exception) -> BadMaskError | None:
    """The error of a mask that has another size than its photograph, where that made a pipeline fail; else ``None``.

    Transforms of MMagic fail with NumPy's message, which names neither.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        results = frame.f_locals.get('results')
        results = results if isinstance(results, dict) else {}
        mask, photo = results.get('mask'), results.get('gt')
        if isinstance(mask, np.ndarray) and isinstance(photo, np.ndarray) and mask.shape[:2] != photo.shape[:2]:
            sizes = ['x'.join(map(str, image.shape[:2])) for image in (mask, photo)]
            return BadMaskError(
                f'The mask that was drawn for {results.get("gt_path", "an image")} is {sizes[0]} pixels and the image, '
                f'as the pipeline has cropped it, {sizes[1]}; both need the same size. Take masks of {sizes[1]} '
                '(another set, or img_shape of their generators), or crop images to the size of the masks.'
            )
    return None

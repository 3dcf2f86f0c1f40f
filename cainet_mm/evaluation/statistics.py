"""How sure the mean over a test set is."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean and the limits of its 95 % interval; NaN limits for too few photographs and for infinite values."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan


def mean_interval(
    values: Sequence[float] | np.ndarray, resamples: int = 2000, photos: Sequence[str] | None = None
) -> Interval:
    """Mean over images with its 95 % bootstrap interval (percentiles), the same on every call.

    Args:
        values: A metric of each image; NaN for images that have none, which are left out.
        resamples: How many test sets are drawn from the images.
        photos: The photograph that each image is of. Images of one photograph, under several masks, are much alike, and
            are drawn together. ``None`` where each has its own.
    """
    values = np.asarray(values, np.float64)
    known = ~np.isnan(values)
    values = values[known]
    if len(values) == 0:
        return Interval()
    mean = float(values.mean())
    _, numbers = np.unique(np.arange(len(values)) if photos is None else np.asarray(photos)[known], return_inverse=True)
    counts = np.bincount(numbers)
    if len(counts) < 2 or not np.isfinite(values).all():
        return Interval(mean)
    if (values == values[0]).all():
        return Interval(mean, mean, mean)
    alone = len(counts) == len(values)
    limits = stats.bootstrap(
        (values,) if alone else (np.bincount(numbers, values), counts),
        np.mean if alone else (lambda sums, counts, axis: sums.sum(axis) / counts.sum(axis)),
        paired=not alone,
        n_resamples=resamples,
        batch=max(1, 10_000_000 // len(values)),
        method='percentile',
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return Interval(mean, float(limits.low), float(limits.high))


def paired_difference(
    ours: Sequence[float], reference: Sequence[float], resamples: int = 2000, photos: Sequence[str] | None = None
) -> Interval:
    """Mean difference to a reference on the same images, in the same order, as :func:`mean_interval` gives it."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    with np.errstate(invalid='ignore'):
        difference = ours - reference
    difference[ours == reference] = 0.0  # also where both are infinite
    return mean_interval(difference, resamples, photos)

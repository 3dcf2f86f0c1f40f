"""How sure the mean over a test set is."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean and the limits of its 95 % interval; NaN limits where there are too few images, or infinite values."""

    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan


def mean_interval(values: Sequence[float] | np.ndarray, resamples: int = 2000) -> Interval:
    """Mean over images with its 95 % bootstrap interval (percentiles), the same on every call.

    Args:
        values: A metric of each image; NaN for images that have none, which are left out.
        resamples: How many test sets are drawn from the images.
    """
    values = np.asarray(values, np.float64)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Interval()
    mean = float(values.mean())
    if len(values) < 2 or not np.isfinite(values).all():
        return Interval(mean)
    if (values == values[0]).all():
        return Interval(mean, mean, mean)
    limits = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, 10_000_000 // len(values)),
        method='percentile',
        random_state=np.random.default_rng(0),
    ).confidence_interval
    return Interval(mean, float(limits.low), float(limits.high))


def paired_difference(ours: Sequence[float], reference: Sequence[float], resamples: int = 2000) -> Interval:
    """Mean difference to a reference on the same images, in the same order, as :func:`mean_interval` gives it."""
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    with np.errstate(invalid='ignore'):
        difference = ours - reference
    difference[ours == reference] = 0.0  # also where both are infinite
    return mean_interval(difference, resamples)

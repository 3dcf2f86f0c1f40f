"""How sure the mean over a test set is."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean and the limits of its 95 % interval; NaN limits where there are too few images, or infinite figures.

    Attributes:
        mean: The mean.
        low: The lower limit.
        high: The upper limit.
    """

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float] | np.ndarray, resamples: int = 2000) -> Interval:
    """Mean over images with its 95 % bootstrap interval (percentiles), the same on every call.

    Args:
        values: A figure of each image; NaN for images that have none, which are left out.
        resamples: How many test sets are drawn from the images.
    """
    values = np.asarray([value for value in values if not math.isnan(value)], np.float64)
    if len(values) == 0:
        return Interval(math.nan, math.nan, math.nan)
    mean = float(values.mean())
    if len(values) < 2 or not np.isfinite(values).all():
        return Interval(mean, math.nan, math.nan)
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
    """Mean difference to a reference on the same images, with its 95 % bootstrap interval.

    Args:
        ours: A figure of each image.
        reference: The reference's figure of the same images, in the same order.
        resamples: How many test sets are drawn.
    """
    ours, reference = np.asarray(ours, np.float64), np.asarray(reference, np.float64)
    same = ours == reference  # also where both are infinite
    return mean_interval(np.where(same, 0.0, np.where(same, 0.0, ours) - np.where(same, 0.0, reference)), resamples)

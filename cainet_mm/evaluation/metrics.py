"""Metrics that MMagic lacks."""

import math
from collections.abc import Sequence
from logging import WARNING

import numpy as np
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from skimage.metrics import structural_similarity


class HoleMetric(BaseSampleWiseMetric):
    """A metric that is taken inside the hole and averaged over the images that have one.

    Args:
        kwargs: Those of MMagic's ``BaseSampleWiseMetric``: ``pred_key``, ``prefix``, ``mask_key`` (``'mask'``), ...
    """

    def __init__(self, **kwargs) -> None:
        super().__init__(**dict(mask_key='mask') | kwargs)

    def process_image(self, gt: np.ndarray, pred: np.ndarray, mask: np.ndarray) -> float:
        """Compute the metric of one image, (3, H, W) in [0, 255], with a mask of (1, H, W); NaN without a hole."""
        hole = np.broadcast_to(np.asarray(mask) > 0, gt.shape)
        if not hole.any():
            return math.nan
        return self.in_hole(np.asarray(gt, np.float64), np.asarray(pred, np.float64), hole)

    def in_hole(self, gt: np.ndarray, pred: np.ndarray, hole: np.ndarray) -> float:
        """Compute the metric; all (3, H, W)."""
        raise NotImplementedError

    def compute_metrics(self, results: Sequence[dict]) -> dict[str, float]:
        """Average over the images that have a hole; NaN if none has."""
        values = [result[self.metric] for result in results if not math.isnan(result[self.metric])]
        if len(values) < len(results):
            without = len(results) - len(values)
            print_log(f'{without} images without a hole count for no {self.metric}.', 'current', WARNING)
        return {self.metric: float(np.mean(values)) * self.scaling if values else math.nan}


@METRICS.register_module()
class HolePSNR(HoleMetric):
    r"""Peak signal-to-noise ratio inside the hole, in dB, averaged over the images.

    .. math:: 10 \log_{10} \frac{255^2}{\mathrm{MSE}}

    with the squared error averaged over the pixels and channels of the hole. PSNR over the whole image mostly
    measures how small the hole is. An image without a hole is left out. Arguments are those of :class:`HoleMetric`.
    """

    metric = 'HolePSNR'

    def in_hole(self, gt: np.ndarray, pred: np.ndarray, hole: np.ndarray) -> float:
        error = np.square(gt[hole] - pred[hole]).mean()
        return math.inf if error == 0 else 10 * math.log10(255**2 / error)


@METRICS.register_module()
class HoleMAE(HoleMetric):
    """Mean absolute error inside the hole, of images in [0, 1], averaged; arguments as :class:`HoleMetric`'s."""

    metric = 'HoleMAE'

    def in_hole(self, gt: np.ndarray, pred: np.ndarray, hole: np.ndarray) -> float:
        return float(np.abs(gt[hole] - pred[hole]).mean() / 255)


@METRICS.register_module()
class HoleSSIM(HoleMetric):
    """Structural similarity inside the hole: the mean of SSIM's map over the hole's pixels and channels.

    The map is scikit-image's, with the Gaussian window of the original (11 pixels, deviation 1.5), as MMagic's
    ``SSIM`` has it. A window at the hole's border also looks at known pixels. Arguments as :class:`HoleMetric`'s.

    Raises:
        ValueError: An image is smaller than the window.
    """

    metric = 'HoleSSIM'

    def in_hole(self, gt: np.ndarray, pred: np.ndarray, hole: np.ndarray) -> float:
        if min(gt.shape[1:]) < 11:
            raise ValueError(f'SSIM looks through windows of 11x11 pixels, but an image has {gt.shape[1:]}.')
        window = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
        _, similarity = structural_similarity(gt, pred, channel_axis=0, data_range=255, full=True, **window)
        return float(similarity[hole].mean())

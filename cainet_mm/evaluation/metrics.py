"""Metrics that MMagic lacks."""

import math
from collections.abc import Sequence
from logging import WARNING

import numpy as np
from mmagic.evaluation.metrics.base_sample_wise_metric import BaseSampleWiseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS


@METRICS.register_module()
class HolePSNR(BaseSampleWiseMetric):
    r"""Peak signal-to-noise ratio inside the hole, in dB, averaged over the images.

    .. math:: 10 \log_{10} \frac{255^2}{\mathrm{MSE}}

    with the squared error averaged over the pixels and channels of the hole. PSNR over the whole image mostly
    measures how small the hole is. An image without a hole has no such figure and is left out.

    Args:
        mask_key: Field of the sample that holds the mask, 1 in the hole.
        kwargs: ``gt_key``, ``pred_key``, ``prefix`` and the rest of MMagic's ``BaseSampleWiseMetric``.
    """

    metric = 'HolePSNR'

    def __init__(self, mask_key: str = 'mask', **kwargs) -> None:
        super().__init__(mask_key=mask_key, **kwargs)

    def process_image(self, gt: np.ndarray, pred: np.ndarray, mask: np.ndarray) -> float:
        """Compute the figure of one image, (3, H, W) in [0, 255], with a mask of (1, H, W)."""
        hole = np.broadcast_to(np.asarray(mask) > 0, gt.shape)
        if not hole.any():
            return math.nan
        error = np.square(np.asarray(gt, np.float64)[hole] - np.asarray(pred, np.float64)[hole]).mean()
        return math.inf if error == 0 else 10 * math.log10(255**2 / error)

    def compute_metrics(self, results: Sequence[dict]) -> dict[str, float]:
        """Average over the images that have a hole; NaN if none has."""
        values = [result[self.metric] for result in results if not math.isnan(result[self.metric])]
        if len(values) < len(results):
            print_log(f'{len(results) - len(values)} images without a hole count for no HolePSNR.', 'current', WARNING)
        return {self.metric: float(np.mean(values)) * self.scaling if values else math.nan}

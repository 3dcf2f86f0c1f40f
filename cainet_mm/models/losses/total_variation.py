"""Total variation around the hole."""

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class DilatedTVLoss(nn.Module):
    r"""Total variation on the hole, dilated by one pixel, Eq. (12).

    .. math::
        \frac{1}{N} \sum_{(i,j),(i,j+1) \in \Omega} |\hat Y^{i,j+1} - \hat Y^{i,j}|
        + \frac{1}{N} \sum_{(i,j),(i+1,j) \in \Omega} |\hat Y^{i+1,j} - \hat Y^{i,j}|

    :math:`\Omega` is the hole and every pixel that touches it, also by a corner; N, which the paper leaves open, is the
    number of values (pixels times channels) in :math:`\Omega` over the whole batch. A difference counts only where both
    its pixels are in :math:`\Omega`. A batch without holes gives 0. Where several processes share a batch, N is its
    mean over them, so that the mean of their losses, and of their gradients, is the loss of the whole batch; all of
    them have to call the loss then.

    Args:
        loss_weight: Weight of the loss.
    """

    def __init__(self, loss_weight: float = 0.1) -> None:
        super().__init__()
        self.loss_weight = loss_weight

    def forward(self, output: Tensor, mask: Tensor) -> Tensor:
        """Compute the loss of the generator's image, (N, C, H, W), and the mask, 1 in the hole, (N, 1, H, W)."""
        region = F.max_pool2d(mask.float(), 3, stride=1, padding=1).to(output.dtype)
        across = (output[..., 1:] - output[..., :-1]).abs() * (region[..., 1:] * region[..., :-1])
        down = (output[..., 1:, :] - output[..., :-1, :]).abs() * (region[..., 1:, :] * region[..., :-1, :])
        # sums over an image leave the range of float16
        dtype = torch.promote_types(output.dtype, torch.float32)
        count = region.sum(dtype=dtype) * output.shape[1]
        all_reduce(count, 'mean')
        return self.loss_weight * (across.sum(dtype=dtype) + down.sum(dtype=dtype)) / count.clamp(min=1)

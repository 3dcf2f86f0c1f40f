"""Any registered loss over several scales."""

from collections.abc import Sequence

import torch
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..pyramids import Level


@MODELS.register_module()
class MultiScaleLoss(nn.Module):
    r"""Mean of a loss over a set of scales, Eq. (16).

    .. math:: \frac{1}{|P|} \sum_{k \in P} \mathcal{L}^k

    The wrapped loss may return a tensor or, for several terms at once, a dict of tensors.

    Args:
        loss: Config of any registered loss.
        scales: P (or Q): the scales, counted from 1, the full-size output.
        takes: What is handed to the wrapped loss, in this order, of ``'output'``, ``'composed'`` (the output in the
            hole, the target elsewhere), ``'target'`` and ``'mask'``.

    Raises:
        ValueError: ``scales`` is empty, has repetitions or numbers below 1, or ``takes`` names something else.
    """

    def __init__(
        self,
        loss: dict,
        scales: Sequence[int] = (1, 2, 3, 4, 5, 6),
        takes: Sequence[str] = ('output', 'target'),
    ) -> None:
        super().__init__()
        check_scales(scales, type(self).__name__)
        unknown = [name for name in takes if name not in ('output', 'composed', *Level._fields)]
        if unknown:
            raise ValueError(
                "MultiScaleLoss can hand over 'output', 'composed', 'target' and 'mask' to the loss that it wraps, got "
                f'{unknown}.'
            )
        self.loss = MMAGIC_MODELS.build(loss)
        self.scales = tuple(scales)
        self.takes = tuple(takes)

    def forward(self, outputs: Sequence[Tensor], pyramid: Sequence[Level]) -> Tensor | dict[str, Tensor]:
        """Compute the mean over the scales.

        Args:
            outputs: The generator's images, finest first, (N, 3, h_k, w_k).
            pyramid: Target and mask at the same scales.
        """
        values = []
        for scale in self.scales:
            level = dict(output=outputs[scale - 1], **pyramid[scale - 1]._asdict())
            if 'composed' in self.takes:
                level['composed'] = torch.where(level['mask'] > 0, level['output'], level['target'])
            values.append(self.loss(*(level[name] for name in self.takes)))
        if isinstance(values[0], dict):
            return {name: mean_of([value[name] for value in values]) for name in values[0]}
        return mean_of(values)


def mean_of(values: Sequence[Tensor]) -> Tensor:
    """Mean of scalar tensors."""
    return sum(values) / len(values)


def check_scales(scales: Sequence[int], owner: str) -> None:
    """Refuse a set of scales that is none.

    Raises:
        ValueError: ``scales`` is empty, has repetitions, or has numbers below 1.
    """
    if not scales or len(set(scales)) != len(scales) or min(scales) < 1:
        raise ValueError(
            f'{owner} takes a set of different scales, counted from 1 (the full-size output), got {tuple(scales)}.'
        )

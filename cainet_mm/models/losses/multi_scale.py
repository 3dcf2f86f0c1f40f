"""Any registered loss over several scales."""

from collections.abc import Sequence
from typing import Any

import torch
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..pyramids import Level, build_pyramid, downscale

# what the generator's image can be handed over as
OUTPUTS = ('output', 'composed', 'outside')


@MODELS.register_module()
class MultiScaleLoss(nn.Module):
    r"""Mean of a loss over a set of scales, Eq. (16).

    .. math:: \frac{1}{|P|} \sum_{k \in P} \mathcal{L}^k

    The wrapped loss may return a tensor or, for several terms at once, a dict or a tuple of tensors.

    Args:
        loss: Config of any registered loss.
        scales: P (or Q): the scales, counted from 1, the full-size output.
        takes: What is handed to the wrapped loss, in this order, of ``'output'``, ``'composed'`` (the output in the
            hole, the target elsewhere), ``'outside'`` (the target in the hole, the output elsewhere), ``'target'`` and
            ``'mask'``.

    Raises:
        ValueError: ``scales`` is empty, has repetitions or numbers below 1, or ``takes`` names something else.
    """

    def __init__(
        self, loss: dict, scales: Sequence[int] = (1, 2, 3, 4, 5, 6), takes: Sequence[str] = ('output', 'target')
    ) -> None:
        super().__init__()
        check_scales(scales, type(self).__name__)
        unknown = [name for name in takes if name not in (*OUTPUTS, *Level._fields)]
        if unknown:
            raise ValueError(
                "MultiScaleLoss can hand over 'output', 'composed', 'target' and 'mask', and what is 'outside' of the "
                f'hole, to the loss that it wraps, got {unknown}.'
            )
        self.loss = MMAGIC_MODELS.build(loss)
        self.scales = tuple(scales)
        self.takes = tuple(takes)

    def forward(
        self,
        outputs: Sequence[Tensor] | Tensor,
        pyramid: Sequence[Level] | Tensor | None = None,
        weight: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, ...] | dict[str, Tensor]:
        """Compute the mean over the scales.

        It can be called in two ways: as :class:`CAINetInpaintor` does, with ``outputs`` and ``pyramid``; and as
        MMagic's inpaintors call their losses, with one image and one target, which are brought to the scales here.

        Args:
            outputs: The generator's images, finest first, (N, 3, h_k, w_k); or one image, (N, 3, H, W).
            pyramid: Target and mask at the same scales; or the true image; or nothing, for losses that take none.
            weight: With one image: what is handed over as ``'mask'``, as MMagic's L1 losses get it, (N, 1, H, W).
            mask: The same, as MMagic's total variation gets it.

        Raises:
            ValueError: The wrapped loss takes what was not given.
        """
        levels: Any = pyramid
        if isinstance(outputs, Tensor):
            outputs, levels = self._bring_to_scales(outputs, levels, mask if weight is None else weight)
        values = []
        for scale in self.scales:
            level = dict(output=outputs[scale - 1], **levels[scale - 1]._asdict())
            if 'composed' in self.takes:
                level['composed'] = torch.where(level['mask'] > 0, level['output'], level['target'])
            if 'outside' in self.takes:
                level['outside'] = torch.where(level['mask'] > 0, level['target'], level['output'])
            values.append(self.loss(*(level[name] for name in self.takes)))
        if isinstance(values[0], dict):
            return {name: mean_of([value[name] for value in values]) for name in values[0]}
        if isinstance(values[0], tuple):
            return tuple(mean_of(terms) for terms in zip(*values, strict=True))
        return mean_of(values)

    def _bring_to_scales(
        self, output: Tensor, target: Tensor | None, mask: Tensor | None
    ) -> tuple[list[Tensor], list[Level]]:
        """Down-scale one image, its target and its mask, each step halving the size as the decoder's scales do."""
        needed = {'target', 'mask'} if {'composed', 'outside'} & set(self.takes) else set(self.takes)
        absent = [name for name, given in (('target', target), ('mask', mask)) if given is None and name in needed]
        if absent:
            raise ValueError(
                f'This MultiScaleLoss hands over {", ".join(self.takes)}, but was called without '
                f'{" and ".join(absent)}. Set takes to what this place of the inpaintor gives: loss_l1_hole and '
                'loss_l1_valid all of them, loss_composed_percep output and target, loss_tv output and mask.'
            )
        height, width = output.shape[-2:]
        sizes = [(-(-height // 2**step), -(-width // 2**step)) for step in range(max(self.scales))]
        target = output.detach() if target is None else target
        mask = torch.ones_like(output[:, :1]) if mask is None else mask
        return [downscale(output, size) for size in sizes], build_pyramid(target, mask, sizes)


def mean_of(values: Sequence[Tensor]) -> Tensor:
    """Mean of scalar tensors."""
    return sum(values, values[0].new_zeros(())) / len(values)


def check_scales(scales: Sequence[int], owner: str) -> None:
    """Raise ``ValueError`` for scales that are none, come twice, or have numbers below 1."""
    if not scales or len(set(scales)) != len(scales) or min(scales) < 1:
        raise ValueError(f'{owner} takes a set of different scales, counted from 1 (full size), got {tuple(scales)}.')

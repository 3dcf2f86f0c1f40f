"""The border between this package's conventions and those of networks that see images in [0, 1]."""

import torch
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class UnitRangeGenerator(BaseModule):
    """Lets a network that sees images in [0, 1] and masks with 1 = known stand where a generator of ours stands.

    DFNet and LBAM were published so. Pipelines, losses and metrics stay those of every other method; the wrapped
    network, and with it a public checkpoint, stays as it was published.

    Args:
        generator: Config of the network. It takes (N, 4, H, W): RGB in [0, 1] with 0 in the hole, then 1 where the
            image is known; it returns an image in [0, 1] or a list of them, finest first.
        init_cfg: MMEngine's initialisation.
    """

    def __init__(self, generator: dict, init_cfg: dict | list[dict] | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        self.generator = MMAGIC_MODELS.build(generator)

    @property
    def num_scales(self) -> int:
        """Number of images that :meth:`forward` returns."""
        return getattr(self.generator, 'num_scales', 1)

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Inpaint (N, 4, H, W), masked RGB image in [-1, 1], then the mask, 1 in the hole.

        Returns images in [-1, 1], finest first, the first one of the input's size.
        """
        known = 1 - inputs[:, 3:]
        outputs = self.generator(torch.cat(((inputs[:, :3] + 1) / 2 * known, known), dim=1))
        return [2 * image - 1 for image in (outputs if isinstance(outputs, list | tuple) else [outputs])]

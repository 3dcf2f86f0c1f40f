"""LaMa's perceptual loss, on a network that sees far."""

from functools import lru_cache

import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from ...utils.checkpoint_io import find_misfits, read_weights, shapes_of
from .vgg import FeatureLoss

# the first three convolutions and their norms: the published names, and those of MMPretrain's ResNet
STEM = {f'{kind}{number + 1}': f'stem.{number}.{kind}' for kind in ('conv', 'bn') for number in range(3)}


class FrozenDilatedResNet(nn.Module):
    """ResNet-50 with a stem of three convolutions, its last two stages dilated instead of strided, without gradients.

    Args:
        weights: Path of the encoder's weights of a segmentation network trained on ADE20K; ``None`` for random ones,
            which are of use in tests only.

    Raises:
        ValueError: The weights cannot be had, or are not those of such a network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: str | None) -> None:
        super().__init__()
        resnet = dict(type='mmpretrain.ResNet', depth=50, deep_stem=True, stem_channels=128, out_indices=(0, 1, 2, 3))
        self.network = MODELS.build(dict(resnet, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)))
        for stage in (self.network.layer3, self.network.layer4):
            # the layer that had the stride sees what the stage before sees
            first = stage[0].conv2
            first.dilation = first.padding = tuple(reach // 2 for reach in first.dilation)
        if weights is not None:
            self.network.load_state_dict(read_resnet_weights(weights, self.network))
        self.register_buffer('mean', torch.tensor((0.485, 0.456, 0.406)).view(1, 3, 1, 1))
        self.register_buffer('std', torch.tensor((0.229, 0.224, 0.225)).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Turn RGB images in [-1, 1], (N, 3, H, W), into the features of the four stages."""
        return self.network(((images + 1) / 2 - self.mean) / self.std)


def read_resnet_weights(source: str, network: nn.Module) -> dict[str, Tensor]:
    """Read the weights of a dilated ResNet-50 under the published names; ``ValueError`` where they do not fit."""
    advice = (
        'Set weights to the path of the encoder of a dilated ResNet-50 for segmentation, trained on ADE20K; or put a '
        "TextureLoss in this loss's place, or take it out of the config."
    )
    try:
        public = read_weights(source)
    except (OSError, ValueError) as error:
        raise ValueError(f'HighReceptiveFieldLoss cannot read its weights ({error}). {advice}') from error
    weights = {}
    for key, value in public.items():
        start, _, rest = key.partition('.')
        weights[f'{STEM.get(start, start)}.{rest}'] = value
    problems = find_misfits(shapes_of(weights), shapes_of(network.state_dict()))
    if problems:
        raise ValueError(f'{source!r} is no dilated ResNet-50. Keys {"; keys ".join(problems)}. {advice}')
    return weights


# one network for all losses that name the same weights
shared_resnet = lru_cache(maxsize=None)(FrozenDilatedResNet)


@MODELS.register_module()
class HighReceptiveFieldLoss(FeatureLoss):
    r"""LaMa's high-receptive-field perceptual loss.

    .. math:: w \sum_i \overline{(\Phi^i(Y) - \Phi^i(\hat Y))^2}

    over the four stages of a dilated ResNet-50 that was trained to segment. The network is no submodule of the loss, so
    it is in no optimiser and in no checkpoint; the target's features carry no gradient.

    Args:
        weights: Path of its weights, as of :class:`FrozenDilatedResNet`.
        loss_weight: w.

    Raises:
        ValueError: The weights cannot be had, or are not those of such a network.
    """

    def __init__(self, weights: str | None, loss_weight: float = 30.0) -> None:
        super().__init__(shared_resnet(weights))
        self.loss_weight = loss_weight

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Compare the generator's RGB image, about [-1, 1], (N, 3, H, W), with the true one."""
        terms = (F.mse_loss(ours, true) for ours, true in zip(*self.compare(output, target), strict=True))
        return self.loss_weight * sum(terms, output.new_zeros(()))

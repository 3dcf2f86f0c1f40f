"""VGG networks whose features losses compare."""

from collections.abc import Callable, Sequence, Set
from functools import lru_cache

import torch
from torch import Tensor, nn
from torchvision.models.vgg import cfgs, make_layers

from ...utils.checkpoint_io import read_weights

# the layers pool-1, pool-2 and pool-3 in torchvision's vgg16().features
VGG16_POOLS = (4, 9, 16)
# torchvision's names of the layouts, and of the files of its weights
LAYOUTS = dict(vgg16='D', vgg19='E')
FILES = dict(vgg16='vgg16-397923af.pth', vgg19='vgg19-dcbb9e9d.pth')


class FrozenVGG(nn.Module):
    """VGG-16 or VGG-19 up to the last layer that is looked at, in eval mode and without gradients of its own.

    Args:
        weights: ``'torchvision://vgg16'``, a local file, a URL, or ``None`` for random weights, which are of use in
            tests only.
        network: ``'vgg16'`` or ``'vgg19'``.
        layers: Indices of layers of torchvision's ``features``, in rising order; their outputs are the features.
        normalise: Whether images in [0, 1] are brought to ImageNet's mean and deviation.

    Raises:
        ValueError: Another network or a layer that it has not; the weights cannot be had, or are not those of this
            network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, weights: str | None, network: str = 'vgg16', layers: Sequence[int] = VGG16_POOLS, normalise: bool = True
    ) -> None:
        super().__init__()
        if network not in LAYOUTS:
            raise ValueError(f'The network of a perceptual loss is one of {" or ".join(LAYOUTS)}, got {network!r}.')
        # without the classifier, whose initialisation takes seconds
        features = make_layers(cfgs[LAYOUTS[network]])
        if not layers or list(layers) != sorted(set(layers)) or layers[0] < 0 or layers[-1] >= len(features):
            raise ValueError(
                f'{network} has the layers 0 to {len(features) - 1}; give different ones in rising order, got '
                f'{tuple(layers)}.'
            )
        layout = features.state_dict().keys()
        features = features[: layers[-1] + 1]
        for index in layers[:-1]:
            # what is handed out must not be written into
            if isinstance(features[index + 1], nn.ReLU):
                features[index + 1].inplace = False
        if weights is not None:
            features.load_state_dict(read_vgg_weights(weights, network, features, layout))
        ends = [layer + 1 for layer in layers]
        self.blocks = nn.ModuleList(features[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True))
        mean, std = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if normalise else ((0.0,) * 3, (1.0,) * 3)
        self.register_buffer('mean', torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer('std', torch.tensor(std).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Turn RGB images in [-1, 1], (N, 3, H, W), into the features of the layers, in their order."""
        feature = ((images + 1) / 2 - self.mean) / self.std
        features = []
        for block in self.blocks:
            feature = block(feature)
            features.append(feature)
        return features


def read_vgg_weights(source: str, network: str, features: nn.Module, layout: Set[str]) -> dict[str, Tensor]:
    """Read the weights of the first layers of a VGG; ``ValueError`` where they are not had, or another network's.

    The first layers of VGG-16 and VGG-19 are alike; the layout, the keys of all layers, tells them apart.
    """
    name = network.upper().replace('VGG', 'VGG-')
    advice = (
        f"Set vgg (of a VGGPerceptualLoss: pretrained) to the path of torchvision's {FILES[network]}, or put it where "
        "torch.hub.get_dir() + '/checkpoints' says, or take the loss out of the config."
    )
    try:
        given = read_weights(source)
    except Exception as error:  # the back ends raise what they like: URLError, OSError, RuntimeError, UnpicklingError
        raise ValueError(f'The weights of {name} cannot be read from {source!r} ({error}). {advice}') from error
    weights = {key.removeprefix('features.'): value for key, value in given.items()}
    wanted = features.state_dict()
    wrong = [key for key in wanted if key not in weights or weights[key].shape != wanted[key].shape]
    if wrong:
        raise ValueError(
            f'{source!r} is no checkpoint of a {name}: features.{wrong[0]} is missing or of another shape. {advice}'
        )
    foreign = [key for key in weights if key[:1].isdigit() and key not in layout]
    if foreign:
        raise ValueError(f'{source!r} is no checkpoint of a {name}: it has features.{foreign[0]}. {advice}')
    return {key: weights[key] for key in wanted}


# one network for all losses that name the same weights and layers
shared_vgg = lru_cache(maxsize=None)(FrozenVGG)


class FeatureLoss(nn.Module):
    """A loss on the features of a frozen network, which is no submodule: in no optimiser and in no checkpoint."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        # in a tuple, torch does not see it
        self._network = (network,)

    def _apply(self, fn: Callable[[Tensor], Tensor], *args, **kwargs) -> 'FeatureLoss':
        """Take the network along when the loss is moved to a device or dtype."""
        self._network[0]._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def compare(self, output: Tensor, target: Tensor) -> tuple[Sequence[Tensor], Sequence[Tensor]]:
        """The features of the generator's image and, without a gradient, of the true one."""
        with torch.no_grad():
            true = self._network[0](target)
        return self._network[0](output), true


def gram_matrix(feature: Tensor) -> Tensor:
    """Gram matrix F F^T / (C h w) of (N, C, h, w), as (N, C, C), in float32 or above whatever the autocast is."""
    with torch.autocast(feature.device.type, enabled=False):
        rows = feature.to(torch.promote_types(feature.dtype, torch.float32)).flatten(2)
        return rows @ rows.transpose(1, 2) / rows[0].numel()

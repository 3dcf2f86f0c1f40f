"""MMagic's perceptual loss, with weights from where one says."""

from mmengine.registry import MODELS
from torch import Tensor, nn

from .vgg import FeatureLoss, gram_matrix, shared_vgg

CRITERIA = dict(l1=nn.functional.l1_loss, mse=nn.functional.mse_loss)


@MODELS.register_module()
class VGGPerceptualLoss(FeatureLoss):
    r"""A drop-in replacement for MMagic's ``PerceptualLoss``: the same arguments, the same two values.

    .. math::
        \mathcal{L}_{per} = w_{per} \sum_i a_i\, c(\Phi^i(x), \Phi^i(y)), \qquad
        \mathcal{L}_{style} = w_{style} \sum_j b_j\, c(G^j(x), G^j(y)), \qquad
        G^j = \frac{\Phi^j (\Phi^j)^T}{C_j h_j w_j}

    over layers i and j of a VGG. MMagic's downloads torchvision's weights whatever ``pretrained`` says, keeps the
    network in every checkpoint, and runs it twice where the style has other layers than the content. Here
    ``pretrained`` counts, the network is shared by all losses that name the same weights and layers and is in no
    checkpoint, and one pass serves both terms.

    Args:
        layer_weights: :math:`a_i` by the layer's index in torchvision's ``features``, written as a string.
        layer_weights_style: :math:`b_j`; by default those of ``layer_weights``.
        vgg_type: ``'vgg16'`` or ``'vgg19'``.
        use_input_norm: Whether images in [0, 1] are brought to ImageNet's mean and deviation.
        perceptual_weight: :math:`w_{per}`; 0 leaves the term out.
        style_weight: :math:`w_{style}`; 0 leaves the term out.
        norm_img: Whether the images come in [-1, 1], and not in [0, 1].
        pretrained: ``'torchvision://vgg16'``, ``'torchvision://vgg19'``, a local file, a URL, or ``None`` for random
            weights, which are of use in tests only. By default torchvision's of ``vgg_type``.
        criterion: c, ``'l1'`` or ``'mse'``.

    Raises:
        ValueError: An unknown criterion, network or layer; the weights cannot be had, or are those of another network.
    """

    def __init__(
        self,
        layer_weights: dict[str, float],
        layer_weights_style: dict[str, float] | None = None,
        vgg_type: str = 'vgg19',
        use_input_norm: bool = True,
        perceptual_weight: float = 1.0,
        style_weight: float = 1.0,
        norm_img: bool = True,
        pretrained: str | None = 'torchvision',
        criterion: str = 'l1',
    ) -> None:
        if criterion.lower() not in CRITERIA:
            raise ValueError(f'The criterion of a VGGPerceptualLoss is {" or ".join(CRITERIA)}, got {criterion!r}.')
        content, style = by_index(layer_weights), by_index(layer_weights_style or layer_weights)
        layers = tuple(sorted({*content, *style}))
        weights = f'torchvision://{vgg_type}' if pretrained == 'torchvision' else pretrained
        super().__init__(shared_vgg(weights, vgg_type, layers, use_input_norm))
        self.criterion = CRITERIA[criterion.lower()]
        self.content, self.style, self.layers = content, style, layers
        self.perceptual_weight, self.style_weight = perceptual_weight, style_weight
        self.norm_img = norm_img

    def forward(self, x: Tensor, gt: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """Compute the perceptual and the style term of two RGB images, (N, 3, H, W); ``None`` for one at weight 0."""
        if not self.norm_img:
            x, gt = 2 * x - 1, 2 * gt - 1
        ours, true = (dict(zip(self.layers, features, strict=True)) for features in self.compare(x, gt))
        perceptual = style = None
        if self.perceptual_weight:
            terms = (weight * self.criterion(ours[layer], true[layer]) for layer, weight in self.content.items())
            perceptual = self.perceptual_weight * sum(terms, x.new_zeros(()))
        if self.style_weight:
            terms = (
                weight * self.criterion(gram_matrix(ours[layer]), gram_matrix(true[layer]))
                for layer, weight in self.style.items()
            )
            style = self.style_weight * sum(terms, x.new_zeros(()))
        return perceptual, style


def by_index(weights: dict[str, float]) -> dict[int, float]:
    """Turn the names of layers into numbers.

    Raises:
        ValueError: A name is no number.
    """
    try:
        return {int(layer): weight for layer, weight in weights.items()}
    except ValueError as error:
        raise ValueError(
            "A VGGPerceptualLoss names layers by their index in torchvision's features, such as '4', got "
            f'{list(weights)}.'
        ) from error

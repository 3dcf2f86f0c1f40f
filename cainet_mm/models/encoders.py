"""The encoder that both stages share."""

from collections.abc import Sequence

from mmcv.cnn import ConvModule
from mmengine.model import BaseModule, PretrainedInit
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..utils.checkpoint_io import load_strict, read_weights


@MODELS.register_module()
class CAINetEncoder(BaseModule):
    """Encoder E_q of stage 1 and of the generator: a chain of stride-2 convolutions.

    The default is the body that the paper takes over from DFNet: eight stages, the first one without norm and
    activation. Every stage halves the size, rounding up, so any image of at least one pixel can be encoded.
    It serves as a backbone in MMPretrain as it is.

    Args:
        in_channels: Channels of the input; 4 for the masked RGB image and its mask.
        widths: Output channels of each stage, finest first.
        kernels: Odd kernel size of each stage, as many as ``widths``.
        out_indices: Stages whose features are returned, counted from 0; by default all. The projections of
            MMPretrain that take a single feature want the last stage alone.
        conv_cfg: Convolution layer of MMCV. ``None`` is a plain ``Conv2d``.
        norm_cfg: Norm layer of all stages but the first. ``None`` for none.
        act_cfg: Activation of all stages but the first. ``None`` for none.
        bias: Whether convolutions have a bias; ``'auto'`` gives one to those without a norm layer.
        frozen: Whether weights and statistics stay as they are in training, as under a linear probe.
        init_cfg: MMEngine's initialisation. With ``type='Pretrained'`` the checkpoint has to fit key for key.

    Raises:
        ValueError: ``widths`` and ``kernels`` differ in length or are empty, a kernel is even, or ``out_indices``
            names a stage that there is not.
    """

    init_cfg: dict | list[dict] | None

    def __init__(
        self,
        in_channels: int = 4,
        widths: Sequence[int] = (64, 128, 256, 512, 512, 512, 512, 512),
        kernels: Sequence[int] = (7, 5, 5, 3, 3, 3, 3, 3),
        out_indices: Sequence[int] | None = None,
        conv_cfg: dict | None = None,
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        bias: bool | str = 'auto',
        frozen: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if not widths or len(widths) != len(kernels):
            raise ValueError(
                f'CAINetEncoder needs one kernel size per width, got {len(widths)} widths {tuple(widths)} and '
                f'{len(kernels)} kernels {tuple(kernels)}.'
            )
        if any(kernel % 2 == 0 for kernel in kernels):
            raise ValueError(f'CAINetEncoder takes odd kernel sizes, got {tuple(kernels)}.')
        self.out_indices = tuple(range(len(widths)) if out_indices is None else out_indices)
        if not set(self.out_indices) <= set(range(len(widths))):
            raise ValueError(
                f'This encoder has the stages 0 to {len(widths) - 1}, but out_indices is {self.out_indices}.'
            )
        self.in_channels = in_channels
        self.widths = tuple(widths)
        stages = []
        for index, (width, kernel) in enumerate(zip(widths, kernels, strict=True)):
            before = widths[index - 1] if index else in_channels
            layer = dict(norm_cfg=norm_cfg, act_cfg=act_cfg) if index else dict(norm_cfg=None, act_cfg=None)
            layer |= dict(stride=2, padding=kernel // 2, bias=bias, conv_cfg=conv_cfg)
            stages.append(ConvModule(before, width, kernel, **layer))
        self.stages = nn.ModuleList(stages)
        self.frozen = frozen
        self.requires_grad_(not frozen)

    def train(self, mode: bool = True) -> 'CAINetEncoder':
        """Switch to training mode, in which a frozen encoder stays in eval mode."""
        return super().train(mode and not self.frozen)

    def init_weights(self) -> None:
        """Initialise; MMEngine would load a pre-trained checkpoint leniently, here every key has to fit."""
        is_first, given = not self.is_init, self.init_cfg
        configs = given if isinstance(given, list) else [given or {}]
        pretrained = [config for config in configs if config.get('type') in ('Pretrained', PretrainedInit)]
        self.init_cfg = [config for config in configs if config and config not in pretrained] or None
        super().init_weights()
        self.init_cfg = given
        for config in pretrained if is_first else ():
            try:
                weights = read_weights(config['checkpoint'], config.get('prefix') or '')
            except FileNotFoundError as error:
                raise FileNotFoundError(
                    f'{error} Train stage 1 first and give its checkpoint file, or set the init_cfg to None to start '
                    'from random weights.'
                ) from None
            load_strict(self, weights, config['checkpoint'])

    def forward(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Encode (N, in_channels, H, W): masked image in [-1, 1] with 0 in the hole, then the mask.

        Returns the features of the stages in ``out_indices``, finest first:
        ``(N, widths[i], ceil(H / 2**(i+1)), ceil(W / 2**(i+1)))``.
        """
        features = []
        for index, stage in enumerate(self.stages):
            inputs = stage(inputs)
            if index in self.out_indices:
                features.append(inputs)
        return tuple(features)

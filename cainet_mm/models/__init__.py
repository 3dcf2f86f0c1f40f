"""Models: every part is registered with MMEngine's root registry, so any OpenMMLab scope finds it by its name."""

from . import baselines, losses
from .attention_heads import AttentionHead
from .baselines import *  # noqa: F403 (named in its __all__)
from .critics import CAINetCritic, GlobalLocalCritic
from .decoders import CAINetDecoder
from .encoder_decoders import CAINetEncoderDecoder
from .encoders import CAINetEncoder
from .fourier import FastFourierConv, FourierBlock, FourierEncoder, FourierUnit, SpectralTransform
from .fused_generators import FusedGenerator
from .fusions import AlphaFusion, ChannelAttention, DualAttentionFusion, ImageHead
from .hole_fills import EdgeFill, SmoothFill
from .inpaintors import CAINetInpaintor
from .losses import *  # noqa: F403 (likewise)
from .masked_autoencoder import MaskedAutoencoder, MaskedViewPreprocessor
from .siamese import SiameseMoCo, TwoMaskPreprocessor
from .view_encoders import ViewEncoder, WholeViewPreprocessor

__all__ = [
    'AlphaFusion',
    'AttentionHead',
    'CAINetCritic',
    'CAINetDecoder',
    'CAINetEncoder',
    'CAINetEncoderDecoder',
    'CAINetInpaintor',
    'ChannelAttention',
    'DualAttentionFusion',
    'EdgeFill',
    'FastFourierConv',
    'FourierBlock',
    'FourierEncoder',
    'FourierUnit',
    'FusedGenerator',
    'GlobalLocalCritic',
    'ImageHead',
    'MaskedAutoencoder',
    'MaskedViewPreprocessor',
    'SiameseMoCo',
    'SmoothFill',
    'SpectralTransform',
    'TwoMaskPreprocessor',
    'ViewEncoder',
    'WholeViewPreprocessor',
]
__all__ += baselines.__all__ + losses.__all__

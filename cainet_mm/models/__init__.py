"""Models: every part is registered with MMEngine's root registry, so any OpenMMLab scope finds it by its name."""

from .attention_heads import AttentionHead
from .baselines import (
    AsymmetricGaussian,
    AttentionDecoderStage,
    AttentionEncoderStage,
    ClassicalInpaintor,
    FeatureMatchingInpaintor,
    LaMaGenerator,
    LBAMGenerator,
    MaskAttention,
    MIGANGenerator,
    PatchCritic,
    TwoColumnCritic,
    UnitRangeGenerator,
)
from .critics import CAINetCritic, GlobalLocalCritic
from .decoders import CAINetDecoder
from .encoder_decoders import CAINetEncoderDecoder
from .encoders import CAINetEncoder
from .fourier import FastFourierConv, FourierBlock, FourierEncoder, FourierUnit, SpectralTransform
from .fused_generators import FusedGenerator
from .fusions import AlphaFusion, ChannelAttention, DualAttentionFusion, ImageHead
from .hole_fills import EdgeFill, SmoothFill
from .inpaintors import CAINetInpaintor
from .losses import (
    DilatedTVLoss,
    FeatureMatchingLoss,
    HighReceptiveFieldLoss,
    LogisticGANLoss,
    MultiScaleLoss,
    R1Penalty,
    SampleGradientPenalty,
    TextureLoss,
    VGGPerceptualLoss,
)
from .masked_autoencoder import MaskedAutoencoder, MaskedViewPreprocessor
from .siamese import SiameseMoCo, TwoMaskPreprocessor
from .view_encoders import ViewEncoder, WholeViewPreprocessor

__all__ = [
    'AlphaFusion',
    'AsymmetricGaussian',
    'AttentionDecoderStage',
    'AttentionEncoderStage',
    'AttentionHead',
    'CAINetCritic',
    'CAINetDecoder',
    'CAINetEncoder',
    'CAINetEncoderDecoder',
    'CAINetInpaintor',
    'ChannelAttention',
    'ClassicalInpaintor',
    'DilatedTVLoss',
    'DualAttentionFusion',
    'EdgeFill',
    'FastFourierConv',
    'FeatureMatchingInpaintor',
    'FeatureMatchingLoss',
    'FourierBlock',
    'FourierEncoder',
    'FourierUnit',
    'FusedGenerator',
    'GlobalLocalCritic',
    'HighReceptiveFieldLoss',
    'ImageHead',
    'LBAMGenerator',
    'LaMaGenerator',
    'LogisticGANLoss',
    'MIGANGenerator',
    'MaskAttention',
    'MaskedAutoencoder',
    'MaskedViewPreprocessor',
    'MultiScaleLoss',
    'PatchCritic',
    'R1Penalty',
    'SampleGradientPenalty',
    'SiameseMoCo',
    'SmoothFill',
    'SpectralTransform',
    'TextureLoss',
    'TwoColumnCritic',
    'TwoMaskPreprocessor',
    'UnitRangeGenerator',
    'VGGPerceptualLoss',
    'ViewEncoder',
    'WholeViewPreprocessor',
]

"""Models: every part is registered with MMEngine's root registry, so any OpenMMLab scope finds it by its name."""

from .baselines import (
    AsymmetricGaussian,
    AttentionDecoderStage,
    AttentionEncoderStage,
    ClassicalInpaintor,
    LBAMGenerator,
    MaskAttention,
    TwoColumnCritic,
    UnitRangeGenerator,
)
from .critics import CAINetCritic, GlobalLocalCritic
from .decoders import CAINetDecoder
from .encoder_decoders import CAINetEncoderDecoder
from .encoders import CAINetEncoder
from .fused_generators import FusedGenerator
from .fusions import AlphaFusion, ChannelAttention, DualAttentionFusion, ImageHead
from .hole_fills import SmoothFill
from .inpaintors import CAINetInpaintor
from .losses import DilatedTVLoss, MultiScaleLoss, SampleGradientPenalty, TextureLoss, VGGPerceptualLoss
from .siamese import SiameseMoCo, TwoMaskPreprocessor
from .view_encoders import ViewEncoder, WholeViewPreprocessor

__all__ = [
    'AlphaFusion',
    'AsymmetricGaussian',
    'AttentionDecoderStage',
    'AttentionEncoderStage',
    'CAINetCritic',
    'CAINetDecoder',
    'CAINetEncoder',
    'CAINetEncoderDecoder',
    'CAINetInpaintor',
    'ChannelAttention',
    'ClassicalInpaintor',
    'DilatedTVLoss',
    'DualAttentionFusion',
    'FusedGenerator',
    'GlobalLocalCritic',
    'ImageHead',
    'LBAMGenerator',
    'MaskAttention',
    'MultiScaleLoss',
    'SampleGradientPenalty',
    'SiameseMoCo',
    'SmoothFill',
    'TextureLoss',
    'TwoColumnCritic',
    'TwoMaskPreprocessor',
    'UnitRangeGenerator',
    'VGGPerceptualLoss',
    'ViewEncoder',
    'WholeViewPreprocessor',
]

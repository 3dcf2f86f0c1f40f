"""Models: every part is registered with MMEngine's root registry, so any OpenMMLab scope finds it by its name."""

from .baselines import ClassicalInpaintor, UnitRangeGenerator
from .critics import CAINetCritic
from .decoders import CAINetDecoder
from .encoder_decoders import CAINetEncoderDecoder
from .encoders import CAINetEncoder
from .fusions import AlphaFusion, ChannelAttention, DualAttentionFusion, ImageHead
from .inpaintors import CAINetInpaintor
from .losses import DilatedTVLoss, MultiScaleLoss, SampleGradientPenalty, TextureLoss, VGGPerceptualLoss
from .siamese import SiameseMoCo, TwoMaskPreprocessor

__all__ = [
    'AlphaFusion',
    'CAINetCritic',
    'CAINetDecoder',
    'CAINetEncoder',
    'CAINetEncoderDecoder',
    'CAINetInpaintor',
    'ChannelAttention',
    'ClassicalInpaintor',
    'DilatedTVLoss',
    'DualAttentionFusion',
    'ImageHead',
    'MultiScaleLoss',
    'SampleGradientPenalty',
    'SiameseMoCo',
    'TextureLoss',
    'TwoMaskPreprocessor',
    'UnitRangeGenerator',
    'VGGPerceptualLoss',
]

"""Methods to compare with that MMagic does not bundle."""

from .classical import ClassicalInpaintor
from .feature_matching import FeatureMatchingInpaintor
from .lama import LaMaGenerator, PatchCritic
from .lbam import (
    AsymmetricGaussian,
    AttentionDecoderStage,
    AttentionEncoderStage,
    LBAMGenerator,
    MaskAttention,
    TwoColumnCritic,
)
from .migan import MIGANGenerator
from .unit_range import UnitRangeGenerator

__all__ = [
    'AsymmetricGaussian',
    'AttentionDecoderStage',
    'AttentionEncoderStage',
    'ClassicalInpaintor',
    'FeatureMatchingInpaintor',
    'LBAMGenerator',
    'LaMaGenerator',
    'MIGANGenerator',
    'MaskAttention',
    'PatchCritic',
    'TwoColumnCritic',
    'UnitRangeGenerator',
]

"""Methods to compare with that MMagic does not bundle."""

from .classical import ClassicalInpaintor
from .lbam import (
    AsymmetricGaussian,
    AttentionDecoderStage,
    AttentionEncoderStage,
    LBAMGenerator,
    MaskAttention,
    TwoColumnCritic,
)
from .unit_range import UnitRangeGenerator

__all__ = [
    'AsymmetricGaussian',
    'AttentionDecoderStage',
    'AttentionEncoderStage',
    'ClassicalInpaintor',
    'LBAMGenerator',
    'MaskAttention',
    'TwoColumnCritic',
    'UnitRangeGenerator',
]

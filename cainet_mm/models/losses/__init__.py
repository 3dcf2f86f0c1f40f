"""Losses; each is registered and usable alone."""

from .adversarial import FeatureMatchingLoss, LogisticGANLoss
from .gradient_penalty import R1Penalty, SampleGradientPenalty
from .high_receptive_field import HighReceptiveFieldLoss
from .multi_scale import MultiScaleLoss
from .perceptual import VGGPerceptualLoss
from .texture import TextureLoss
from .total_variation import DilatedTVLoss

__all__ = [
    'DilatedTVLoss',
    'FeatureMatchingLoss',
    'HighReceptiveFieldLoss',
    'LogisticGANLoss',
    'MultiScaleLoss',
    'R1Penalty',
    'SampleGradientPenalty',
    'TextureLoss',
    'VGGPerceptualLoss',
]

"""Losses; each is registered and usable alone."""

from .gradient_penalty import SampleGradientPenalty
from .multi_scale import MultiScaleLoss
from .perceptual import VGGPerceptualLoss
from .texture import TextureLoss
from .total_variation import DilatedTVLoss

__all__ = ['DilatedTVLoss', 'MultiScaleLoss', 'SampleGradientPenalty', 'TextureLoss', 'VGGPerceptualLoss']

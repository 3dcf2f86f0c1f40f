"""Errors of images and masks."""


class BadImageError(ValueError):
    """An image that cannot be used; the message names the file, what was found and what is accepted.

    A data set skips such an image with a warning, up to a share of bad images.
    """


class BadMaskError(ValueError):
    """A mask of a set that is meant for every photograph cannot be used, which ends the run."""


class TooManyBadImagesError(ValueError):
    """More images are bad than the data set may skip."""

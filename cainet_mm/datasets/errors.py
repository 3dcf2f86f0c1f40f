"""What is wrong with images."""


class BadImageError(ValueError):
    """An image that cannot be used; the message names the file, what was found and what is accepted.

    A data set skips such an image with a warning and goes on, up to a share of bad images.
    """


class BadMaskError(ValueError):
    """A mask of a set that is meant for every photograph cannot be used, so that there is no sense in going on."""


class TooManyBadImagesError(ValueError):
    """More images are bad than the data set may skip."""


def one_line(error: Exception) -> str:
    """What an error says, in one line; its kind where it says nothing."""
    return ' '.join(str(error).split()) or type(error).__name__

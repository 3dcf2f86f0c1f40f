"""CAINet: free-form image inpainting via a contrastive attention network, as parts for MMagic and MMPretrain.

``import cainet_mm`` is all that a config needs: it checks the installed packages, makes MMagic importable and
registers every part. Import it before ``mmagic``.
"""

from . import stack
from .version import __version__

stack.check()

from . import compat  # noqa: E402  (needs torch and numpy, whose absence the check above reports)

compat.apply()

from . import datasets, engine, evaluation, models, registry  # noqa: E402  (they import MMagic)

compat.let_generation_init_weights_pass_layers_by()

__all__ = ['__version__', 'compat', 'datasets', 'engine', 'evaluation', 'models', 'registry', 'stack']

"""CAINet: free-form image inpainting via a contrastive attention network, as parts for MMagic and MMPretrain.

``import cainet_mm`` is all that a config needs: it checks the installed packages, makes MMagic importable and
registers every part. Import it before ``mmagic``.
"""

import gc

_collects = gc.isenabled()
# millions of objects that stay: looking for garbage among them would take a third of the time
gc.disable()
try:
    from . import stack
    from .version import __version__

    stack.check()

    from . import compat  # (needs torch and numpy, whose absence the check above reports)

    compat.apply()

    from . import datasets, engine, evaluation, models, registry  # (they import MMagic)

    compat.let_generation_init_weights_pass_layers_by()
finally:
    if _collects:
        gc.enable()

__all__ = ['__version__', 'compat', 'datasets', 'engine', 'evaluation', 'models', 'registry', 'stack']

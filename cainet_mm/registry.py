"""Makes ``cainet_mm`` a scope of MMEngine, so that ``_base_ = 'cainet_mm::quickstart/stage2.py'`` works anywhere.

MMEngine marks what it inherits from ``cainet_mm::`` with that scope and looks its parts up there. The scope is empty
and a child of MMagic's: a name goes on to MMagic and from there to MMEngine, exactly as with
``default_scope = 'mmagic'``.
"""

import mmagic.registry as mmagic_registry
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.registry import Registry

SCOPE = 'cainet_mm'

# MMEngine asks pkg_resources where the package lies, which is wrong for an editable install (the distribution is in
# site-packages, the code is not). For a module inside the package it asks the import system, which is always right.
MODULE2PACKAGE[SCOPE] = f'{SCOPE}.registry'

REGISTRIES = tuple(
    # MMEngine imports what a registry's own locations name before it looks there, but not what its parent's do
    Registry(parent.name, scope=SCOPE, parent=parent, locations=[SCOPE, *parent._locations])
    for parent in vars(mmagic_registry).values()
    if isinstance(parent, Registry) and parent.scope == 'mmagic'
)

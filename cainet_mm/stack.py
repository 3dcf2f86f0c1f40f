"""Which versions of the packages below this one are accepted, and the check that they are installed.

This file is the only place where the ranges are written for Python code. It imports nothing but the standard
library and ``packaging``, because it has to work when everything else is missing or broken.
"""

from __future__ import annotations

from importlib import metadata

from packaging.specifiers import SpecifierSet
from packaging.version import Version

_RUNTIME = 'requirements/runtime.txt'
_OPENMMLAB = 'requirements/mminstall.txt'
_MMCV_LITE = 'requirements/mmcv-lite.txt'
_CONSTRAINTS = 'requirements/constraints.txt'

# Distribution name -> (accepted versions, the requirements file that installs it).
ACCEPTED = {
    'torch': ('>=2.1,<3', _RUNTIME),
    'torchvision': ('>=0.16,<1', _RUNTIME),
    'numpy': ('>=1.26,<3', _RUNTIME),
    # MMEngine imports pkg_resources, which setuptools 81 no longer ships.
    'setuptools': ('<81', _RUNTIME),
    # MMagic imports its diffusion editors while loading; later releases of these three lack what they ask for.
    'diffusers': ('>=0.28,<0.29', _RUNTIME),
    'transformers': ('>=4.41,<4.50', _RUNTIME),
    'huggingface-hub': ('>=0.23,<1', _RUNTIME),
    # Imported by MMagic without being declared by it.
    'albumentations': ('>=1.4,<3', _RUNTIME),
    'imageio': ('>=2.30,<3', _RUNTIME),
    # Earlier ones cannot be imported beside torch 2.5 and later, which has an Adafactor of its own.
    'mmengine': ('>=0.10.6,<1', _OPENMMLAB),
    'mmagic': ('>=1.2.0,<1.3', _OPENMMLAB),
    'mmpretrain': ('>=1.2.0,<1.3', _OPENMMLAB),
}

# MMagic asserts this range while loading. Two distributions supply the module ``mmcv``: the full one, and one
# without compiled operators, which is enough for inpainting.
MMCV_ACCEPTED = '>=2.0.0,<2.2.0'
MMCV_DISTRIBUTIONS = ('mmcv', 'mmcv-lite')


def installed_version(distribution: str) -> str | None:
    """The installed version of a distribution; ``None`` where it is absent."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def is_accepted(version: str, accepted: str) -> bool:
    """Whether a version lies in a range; development builds of an accepted release count as accepted."""
    return SpecifierSet(accepted).contains(Version(version), prereleases=True)


def find_problems() -> list[str]:
    """Compare what is installed with what is accepted; a message per problem: what was found, and what to run."""
    problems = []
    for distribution, (accepted, requirements) in ACCEPTED.items():
        found = installed_version(distribution)
        if found is None or not is_accepted(found, accepted):
            state = 'is not installed;' if found is None else f'{found} is installed, but'
            command = _install_command(requirements)
            problems.append(f'{distribution} {state} {accepted} is accepted: run `{command}`.')
    return problems + _find_mmcv_problems()


def check() -> None:
    """Raise an ImportError that lists every problem at once, so that one round of installing solves them all."""
    problems = find_problems()
    if problems:
        listed = '\n'.join(f'  - {problem}' for problem in problems)
        raise ImportError(f'cainet_mm cannot run on the installed packages:\n{listed}')


def _find_mmcv_problems() -> list[str]:
    present = [(name, version) for name in MMCV_DISTRIBUTIONS if (version := installed_version(name)) is not None]
    if len(present) == 1 and is_accepted(present[0][1], MMCV_ACCEPTED):
        return []
    found = ' and '.join(f'{name} {version}' for name, version in present) or 'Neither mmcv nor mmcv-lite'
    return [
        f'{found} found, but exactly one of mmcv and mmcv-lite, {MMCV_ACCEPTED}, is accepted: run `pip uninstall -y '
        f'mmcv mmcv-lite`, then `pip install "mmcv-lite{MMCV_ACCEPTED}"` (in a checkout '
        f'`{_install_command(_MMCV_LITE)}`), or install the full mmcv as requirements/optional.txt says.'
    ]


def _install_command(requirements: str) -> str:
    return f'pip install -r {requirements} -c {_CONSTRAINTS}'

"""Installs cainet_mm with its configs and tools, in the layout (``.mim``) where OpenMMLab's tools look for them."""

import os
import runpy
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
MIM = Path('cainet_mm/.mim')
MIM_CONTENT = ('configs', 'tools', 'model-index.yml')


def read_requirements(name):
    lines = (ROOT / 'requirements' / name).read_text(encoding='utf-8').splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith('#')]


class BuildWithConfigs(build_py):
    """Adds the configs and tools: as copies to a wheel, as links to an editable install, so that edits show."""

    def run(self):
        super().run()
        if self.editable_mode:
            self._link_into(ROOT / MIM)
        else:
            self._copy_into(Path(self.build_lib) / MIM)

    def get_outputs(self, include_bytecode=True):
        outputs = super().get_outputs(include_bytecode)
        if self.editable_mode:
            return outputs
        copied = Path(self.build_lib) / MIM
        return outputs + [str(path) for path in copied.rglob('*') if path.is_file()]

    def _copy_into(self, target):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for name in MIM_CONTENT:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, target / name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copyfile(source, target / name)

    def _link_into(self, target):
        target.mkdir(exist_ok=True)
        for name in MIM_CONTENT:
            link = target / name
            if link.is_symlink():
                link.unlink()
            link.symlink_to(os.path.relpath(ROOT / name, target))


setup(
    name='cainet_mm',
    version=runpy.run_path(str(ROOT / 'cainet_mm' / 'version.py'))['__version__'],
    description='CAINet, free-form image inpainting via a contrastive attention network, for MMagic and MMPretrain',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['cainet_mm', 'cainet_mm.*']),
    package_data={'cainet_mm': ['weights/*']},
    # mmcv is missing on purpose: naming mmcv or mmcv-lite would install it over the other, where that one is present.
    install_requires=read_requirements('runtime.txt') + read_requirements('mminstall.txt'),
    extras_require={'tests': read_requirements('tests.txt'), 'optional': read_requirements('optional.txt')},
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)

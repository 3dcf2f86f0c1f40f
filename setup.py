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
    """Reads a file of requirements/, with those that it includes by -r."""
    requirements = []
    for line in (ROOT / 'requirements' / name).read_text(encoding='utf-8').splitlines():
        line = line.strip()
        if line.startswith('-r '):
            requirements += read_requirements(line.removeprefix('-r ').strip())
        elif line and not line.startswith('#'):
            requirements.append(line)
    return requirements


def make_extras():
    """One extra for each file of requirements/ that is not needed by all, and the groups of them."""
    files = {'lite': 'mmcv-lite.txt'}
    for name in ('page', 'export', 'metrics', 'train-logging', 'optional', 'tests', 'docs'):
        if (ROOT / 'requirements' / f'{name}.txt').is_file():
            files[name] = f'{name}.txt'
    extras = {name: read_requirements(file) for name, file in files.items()}
    # optional is for environments that have a full mmcv, beside which mmcv-lite must not be installed
    extras['all'] = extras['lite'] + extras['optional']
    return extras


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
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='cainet_mm authors',
    license='Apache-2.0',
    keywords='image inpainting, hole filling, contrastive learning, attention, OpenMMLab, MMagic, PyTorch',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Environment :: Console',
        'Intended Audience :: Science/Research',
        'Intended Audience :: Developers',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.11',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Topic :: Scientific/Engineering :: Image Processing',
        'Typing :: Typed',
    ],
    python_requires='>=3.10',
    packages=find_packages(include=['cainet_mm', 'cainet_mm.*']),
    # beside the package, whose import takes seconds
    py_modules=['cainet_cli'],
    entry_points={'console_scripts': ['cainet = cainet_cli:main']},
    package_data={'cainet_mm': ['py.typed', 'weights/*', 'evaluation/*.html']},
    # mmcv is missing on purpose: naming mmcv or mmcv-lite would install it over the other, where that one is present.
    install_requires=read_requirements('runtime.txt') + read_requirements('mminstall.txt'),
    extras_require=make_extras(),
    cmdclass={'build_py': BuildWithConfigs},
    zip_safe=False,
)

"""The installed stack, the compatibility measures, the requirement files and the wheel."""

import importlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import warnings
import zipfile
from importlib import metadata
from importlib.machinery import ModuleSpec
from pathlib import Path

import huggingface_hub
import mmagic
import numpy as np
import pytest
import torch
import yaml
from mmagic.models import utils
from mmagic.registry import MODELS as MODELS_OF_MMAGIC
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.model import BaseModule
from mmengine.registry import METRICS, MODELS, DefaultScope
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from PIL import Image
from setuptools import find_packages
from torchvision.extension import _has_ops

from cainet_mm import compat, stack

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / 'requirements'
CONSTRAINTS = ('constraints.txt', 'constraints-torch2.1.txt')
HAS_FULL_MMCV = stack.installed_version('mmcv') is not None
LOADS_RESTRICTED = Version(torch.__version__).release >= (2, 6)

# For each distribution, the nearest well-known version that is not accepted.
REFUSED = {
    'albumentations': '1.3.1',
    'diffusers': '0.29.0',
    'huggingface-hub': '1.0.0',
    'imageio': '2.9.0',
    'mmagic': '1.1.0',
    'mmengine': '0.10.5',
    'mmpretrain': '1.1.1',
    'numpy': '1.25.2',
    'setuptools': '81.0.0',
    'torch': '2.0.1',
    'torchvision': '0.15.2',
    'transformers': '4.50.0',
}


def read_requirements(name):
    lines = (REQUIREMENTS / name).read_text().splitlines()
    requirements = [Requirement(line) for line in lines if line and not line.startswith(('#', '-r '))]
    own = {canonicalize_name(requirement.name): requirement for requirement in requirements}
    included = [read_requirements(line.removeprefix('-r ')) for line in lines if line.startswith('-r ')]
    return {key: value for part in (*included, own) for key, value in part.items()}


def read_pins(name):
    return {name: str(req.specifier).removeprefix('==') for name, req in read_requirements(name).items()}


@pytest.fixture
def installed(monkeypatch):
    """A pretended set of installed versions, at first the tested one, that a test may change."""
    versions = read_pins('constraints.txt')
    monkeypatch.setattr(stack, 'installed_version', versions.get)
    return versions


class TestStack:
    @pytest.mark.parametrize('constraints', CONSTRAINTS)
    def test_the_tested_sets_are_accepted(self, installed, constraints):
        installed.clear()
        installed.update(read_pins(constraints))
        assert stack.find_problems() == []

    def test_what_is_installed_here_is_accepted(self):
        assert stack.find_problems() == []

    def test_every_range_has_a_version_outside_it(self):
        assert REFUSED.keys() == stack.ACCEPTED.keys()

    @pytest.mark.parametrize('distribution', REFUSED)
    def test_a_wrong_version_gets_one_sentence(self, installed, distribution):
        installed[distribution] = REFUSED[distribution]
        (problem,) = stack.find_problems()
        accepted, requirements = stack.ACCEPTED[distribution]
        assert problem == (
            f'{distribution} {REFUSED[distribution]} is installed, but {accepted} is accepted: '
            f'run `pip install -r {requirements} -c requirements/constraints.txt`.'
        )

    @pytest.mark.parametrize('distribution', REFUSED)
    def test_a_missing_distribution_gets_one_sentence(self, installed, distribution):
        del installed[distribution]
        (problem,) = stack.find_problems()
        assert problem.startswith(f'{distribution} is not installed')
        assert stack.ACCEPTED[distribution][0] in problem
        assert 'pip install -r' in problem

    def test_all_problems_are_told_at_once(self, installed):
        del installed['diffusers'], installed['mmcv-lite']
        installed['setuptools'] = '82.0.0'
        with pytest.raises(ImportError) as raised:
            stack.check()
        for distribution in ('diffusers', 'mmcv-lite', 'setuptools'):
            assert distribution in str(raised.value)

    @pytest.mark.parametrize('version', ['2.13.0+cpu', '2.9.1+cu128', '2.14.0.dev20261101+cu130'])
    def test_builds_of_an_accepted_release_are_accepted(self, installed, version):
        installed['torch'] = version
        assert stack.find_problems() == []

    def test_a_development_build_of_the_first_refused_release_is_refused(self, installed):
        installed['diffusers'] = '0.29.0.dev0'
        assert len(stack.find_problems()) == 1

    @pytest.mark.parametrize('versions', [{'mmcv': '2.0.0'}, {'mmcv': '2.1.0'}, {'mmcv-lite': '2.1.0'}])
    def test_either_mmcv_will_do(self, installed, versions):
        del installed['mmcv-lite']
        installed.update(versions)
        assert stack.find_problems() == []

    @pytest.mark.parametrize(
        ('versions', 'expected'),
        [
            (
                {},
                [
                    'Neither mmcv nor mmcv-lite',
                    'pip install "mmcv-lite>=2.0.0,<2.2.0"',
                    'requirements/mmcv-lite.txt',
                    'requirements/optional.txt',
                ],
            ),
            ({'mmcv': '2.1.0', 'mmcv-lite': '2.1.0'}, ['mmcv 2.1.0 and mmcv-lite 2.1.0', 'pip uninstall']),
            ({'mmcv': '2.2.0'}, ['mmcv 2.2.0', '>=2.0.0,<2.2.0', 'requirements/optional.txt', 'pip uninstall']),
            ({'mmcv-lite': '2.2.0'}, ['mmcv-lite 2.2.0', '>=2.0.0,<2.2.0', 'requirements/mmcv-lite.txt']),
            ({'mmcv': '1.7.2'}, ['mmcv 1.7.2', '>=2.0.0,<2.2.0']),
        ],
    )
    def test_a_wrong_mmcv_gets_one_sentence(self, installed, versions, expected):
        del installed['mmcv-lite']
        installed.update(versions)
        (problem,) = stack.find_problems()
        assert all(part in problem for part in expected), problem

    def test_importing_the_package_on_a_wrong_stack_ends_in_the_sentence(self, tmp_path):
        info = tmp_path / 'diffusers-0.42.0.dist-info'
        info.mkdir()
        (info / 'METADATA').write_text('Metadata-Version: 2.1\nName: diffusers\nVersion: 0.42.0\n')
        path = os.pathsep.join([str(tmp_path), str(ROOT)])
        run = subprocess.run(
            [sys.executable, '-c', 'import cainet_mm'],
            env={**os.environ, 'PYTHONPATH': path},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 1
        assert 'diffusers 0.42.0 is installed, but >=0.28,<0.29 is accepted' in run.stderr.splitlines()[-1]


class TestRequirementFiles:
    @pytest.mark.parametrize('distribution', stack.ACCEPTED)
    def test_the_named_file_asks_for_the_accepted_range(self, distribution):
        accepted, path = stack.ACCEPTED[distribution]
        assert read_requirements(Path(path).name)[distribution].specifier == Requirement(f'x{accepted}').specifier

    def test_mmcv_lite_stands_alone(self):
        accepted = Requirement(f'x{stack.MMCV_ACCEPTED}').specifier
        assert {name: req.specifier for name, req in read_requirements('mmcv-lite.txt').items()} == {
            'mmcv-lite': accepted
        }
        for name in ('runtime.txt', 'mminstall.txt', 'tests.txt', 'optional.txt'):
            assert not {'mmcv', 'mmcv-lite'} & read_requirements(name).keys()

    @pytest.mark.parametrize('constraints', CONSTRAINTS)
    def test_constraints_pin_every_requirement_within_its_range(self, constraints):
        pins = read_pins(constraints)
        for name in ('runtime.txt', 'mminstall.txt', 'mmcv-lite.txt', 'tests.txt'):
            for distribution, requirement in read_requirements(name).items():
                assert requirement.specifier.contains(pins[distribution]), requirement

    @pytest.mark.parametrize('constraints', CONSTRAINTS)
    def test_constraints_hold_exact_public_versions_only(self, constraints):
        for name, requirement in read_requirements(constraints).items():
            (specifier,) = requirement.specifier
            assert specifier.operator == '==', name
            assert requirement.url is None, name
            assert Version(specifier.version).local is None, name

    @pytest.mark.parametrize('constraints', CONSTRAINTS)
    def test_all_opencv_distributions_share_one_version(self, constraints):
        versions = {version for name, version in read_pins(constraints).items() if name.startswith('opencv')}
        assert len(versions) == 1


class TestMissingOperators:
    def test_a_placeholder_raises_when_called_and_not_before(self):
        placeholder = compat._MissingOperatorsFinder().create_module(ModuleSpec('mmcv._ext', None))
        operator = placeholder.roi_align_forward
        with pytest.raises(RuntimeError, match="'roi_align_forward'.*requirements/optional.txt"):
            operator(1, output=2)

    def test_a_placeholder_has_no_special_attributes(self):
        placeholder = compat._MissingOperatorsFinder().create_module(ModuleSpec('mmcv._ext', None))
        assert not hasattr(placeholder, '__path__')

    @pytest.mark.skipif(HAS_FULL_MMCV, reason='the full mmcv is installed')
    def test_calling_an_operator_of_mmcv_lite_says_what_to_install(self):
        from mmcv.ops import nms

        with pytest.raises(RuntimeError, match="'nms'.*full mmcv"):
            nms(torch.rand(2, 4), torch.rand(2), 0.5)

    @pytest.mark.skipif(HAS_FULL_MMCV, reason='the full mmcv is installed')
    def test_mmcv_lite_can_still_describe_the_environment(self):
        from mmcv.utils import collect_env

        assert collect_env()['MMCV Compiler'] == 'n/a'

    @pytest.mark.skipif(not HAS_FULL_MMCV, reason='mmcv-lite is installed')
    def test_nothing_is_replaced_in_the_full_mmcv(self):
        import mmcv._ext
        from mmcv.ops import nms

        assert not any(isinstance(finder, compat._MissingOperatorsFinder) for finder in sys.meta_path)
        assert Path(mmcv._ext.__file__).is_file()
        boxes = torch.tensor([[0.0, 0.0, 9.0, 9.0], [0.0, 0.0, 9.0, 8.0], [20.0, 20.0, 29.0, 29.0]])
        assert nms(boxes, torch.tensor([0.9, 0.8, 0.7]), 0.5)[1].tolist() == [0, 2]

    @pytest.fixture
    def other_mmcv(self, tmp_path, monkeypatch):
        """An empty package ``mmcv`` in front of the real one, in an interpreter to which nothing was applied."""
        package = tmp_path / 'mmcv'
        package.mkdir()
        (package / '__init__.py').write_text('')
        monkeypatch.syspath_prepend(tmp_path)
        for name in [name for name in sys.modules if name.partition('.')[0] == 'mmcv']:
            monkeypatch.delitem(sys.modules, name)
        finders = [finder for finder in sys.meta_path if not isinstance(finder, compat._MissingOperatorsFinder)]
        monkeypatch.setattr(sys, 'meta_path', finders)
        yield package
        for name in [name for name in sys.modules if name.partition('.')[0] == 'mmcv']:
            del sys.modules[name]

    def test_nothing_is_installed_beside_a_real_extension(self, other_mmcv):
        (other_mmcv / '_ext.py').write_text('real = True')
        finders = list(sys.meta_path)
        compat.answer_for_missing_mmcv_operators()
        assert sys.meta_path == finders
        import mmcv._ext

        assert mmcv._ext.real is True

    def test_a_missing_extension_is_answered_for(self, other_mmcv):
        with pytest.raises(ModuleNotFoundError):
            import mmcv._ext
        compat.answer_for_missing_mmcv_operators()
        import mmcv._ext

        assert callable(mmcv._ext.nms)
        with pytest.raises(ModuleNotFoundError):
            import mmcv._other  # noqa: F401

    def test_an_extension_that_appears_later_is_preferred(self, other_mmcv):
        compat.answer_for_missing_mmcv_operators()
        (other_mmcv / '_ext.py').write_text('real = True')
        import mmcv._ext

        assert mmcv._ext.real is True


class TestOtherMeasures:
    def test_applying_twice_changes_nothing(self):
        def state():
            allowed = set(map(str, torch.serialization.get_safe_globals())) if LOADS_RESTRICTED else set()
            return list(sys.meta_path), compat._torchvision_library, getattr(np, 'bool8', None), allowed

        before = state()
        compat.apply()
        assert state() == before

    def test_torchvision_is_helped_only_where_its_extension_does_not_load(self):
        assert (compat._torchvision_library is None) == _has_ops()

    @pytest.mark.parametrize(
        ('file', 'declares'), [('_C.so', False), ('_C_stable.so', False), ('_D.so', True), ('no_extension.py', False)]
    )
    def test_operators_are_declared_once_whatever_the_extension_is_called(self, tmp_path, monkeypatch, file, declares):
        """Those here do not load; one of another name may, and to declare its operators again would be an abort."""
        (tmp_path / 'torchvision').mkdir()
        for name in ('__init__.py', file):
            (tmp_path / 'torchvision' / name).touch()
        monkeypatch.delitem(sys.modules, 'torchvision')
        monkeypatch.syspath_prepend(tmp_path)
        assert compat._torchvision_extension_loads() == declares

    @pytest.mark.skipif(_has_ops(), reason="torchvision's extension loads here")
    def test_a_declared_operator_still_raises_torchvisions_own_error(self):
        from torchvision.ops import nms

        with pytest.raises(RuntimeError, match="Couldn't load custom C\\+\\+ ops"):
            nms(torch.rand(2, 4), torch.rand(2), 0.5)

    def test_operators_that_exist_are_not_declared_again(self, monkeypatch):
        monkeypatch.delitem(sys.modules, 'torchvision')
        monkeypatch.setattr(compat, '_torchvision_extension_loads', lambda: False)
        monkeypatch.setattr(compat, '_TORCHVISION_SCHEMAS', {'nms': compat._TORCHVISION_SCHEMAS['nms']})
        library = compat._torchvision_library
        compat.define_missing_torchvision_operators()
        assert compat._torchvision_library is library

    @pytest.mark.skipif(Version(np.__version__).major < 2, reason='NumPy 1 has the name itself')
    def test_bool8_is_added_and_never_replaced(self, monkeypatch):
        monkeypatch.delattr(np, 'bool8')
        compat.alias_numpy_bool8()
        assert np.bool8 is np.bool_
        monkeypatch.setattr(np, 'bool8', 'of a later NumPy')
        compat.alias_numpy_bool8()
        assert np.bool8 == 'of a later NumPy'

    @pytest.mark.skipif(Version(np.__version__).major >= 2, reason='NumPy 2 lacks the name')
    def test_numpy_1_is_left_alone_and_silent(self):
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            compat.alias_numpy_bool8()

    def test_a_missing_cached_download_is_named_and_raises_when_called(self, monkeypatch):
        monkeypatch.delattr(huggingface_hub, 'cached_download', raising=False)
        compat.name_cached_download()
        with pytest.raises(RuntimeError, match='has no cached_download'):
            huggingface_hub.cached_download('url')

    def test_a_cached_download_that_is_there_is_left_alone(self, monkeypatch):
        monkeypatch.setattr(huggingface_hub, 'cached_download', 'its own', raising=False)
        compat.name_cached_download()
        assert huggingface_hub.cached_download == 'its own'


class Family(BaseModule):
    """A model with a part that initialises itself, as an inpaintor has a discriminator."""

    def __init__(self, part):
        super().__init__()
        self.part = part


def convolutions():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3), torch.nn.ConvTranspose2d(5, 4, 2), torch.nn.Conv2d(4, 2, 1))


def modules_with_generation_init_weights():
    """The modules of MMagic whose source names the function, found by reading it."""
    package = Path(mmagic.__file__).parent
    for path in package.joinpath('models').rglob('*.py'):
        if re.search(r'\bgeneration_init_weights\b', path.read_text(encoding='utf-8')):
            name = '.'.join(('mmagic', *path.relative_to(package).with_suffix('').parts))
            yield importlib.import_module(name.removesuffix('.__init__'))


class TestGenerationInitWeights:
    @pytest.fixture
    def original(self):
        return utils.generation_init_weights.__wrapped__

    @pytest.fixture
    def put_back(self, original, monkeypatch):
        """MMagic as it is without the measure, for one test."""
        for module in modules_with_generation_init_weights():
            monkeypatch.setattr(module, 'generation_init_weights', original)

    @pytest.mark.parametrize(
        'discriminator',
        [
            dict(type='SoftMaskPatchDiscriminator', in_channels=3, base_channels=4, with_spectral_norm=True),
            dict(type='PatchDiscriminator', in_channels=3, base_channels=4, norm_cfg=dict(type='BN')),
        ],
        ids=lambda config: config['type'],
    )
    def test_a_discriminator_with_activations_is_initialised_as_a_part_of_a_model(self, discriminator):
        part = MODELS_OF_MMAGIC.build(discriminator)
        assert any(isinstance(layer, torch.nn.LeakyReLU) for layer in part.modules())
        weights = [
            value
            for key, value in part.named_parameters()
            if key.endswith(('weight', 'weight_orig')) and value.ndim == 4
        ]
        for weight in weights:
            torch.nn.init.constant_(weight, 9.0)
        family = Family(part)
        family.init_weights()
        assert weights
        for weight in weights:
            # normal with MMagic's gain
            assert weight.std().item() == pytest.approx(0.02, rel=0.5)
            assert weight.abs().max() < 0.2
        assert not any(compat._INIT_RECORD in vars(layer) for layer in family.modules()), 'MMEngine has cleaned up'

    def test_the_fault_is_in_the_original(self, put_back):
        part = MODELS_OF_MMAGIC.build(dict(type='SoftMaskPatchDiscriminator', in_channels=3, base_channels=4))
        with pytest.raises(UnboundLocalError, match='init_info'):
            Family(part).init_weights()

    @pytest.mark.parametrize('init_type', ['normal', 'xavier', 'kaiming', 'orthogonal'])
    def test_the_weights_are_those_of_the_original(self, original, init_type):
        states = []
        for initialise in (original, utils.generation_init_weights):
            layers = convolutions()
            torch.manual_seed(3)
            initialise(layers, init_type=init_type, init_gain=0.1)
            states.append(layers.state_dict())
        for key, expected in states[0].items():
            assert torch.equal(states[1][key], expected), key

    @pytest.mark.parametrize('init_type', ['normal', 'no such type'])
    def test_records_hang_where_they_hung_afterwards(self, init_type):
        layers = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.ReLU(), torch.nn.Conv2d(3, 3, 1))
        record = {'a parameter': 'what happened to it'}
        for layer in (layers, layers[0], layers[1]):
            setattr(layer, compat._INIT_RECORD, record)
        if init_type == 'normal':
            utils.generation_init_weights(layers)
        else:
            with pytest.raises(NotImplementedError):
                utils.generation_init_weights(layers, init_type)
        for layer in (layers, layers[0], layers[1]):
            assert vars(layer)[compat._INIT_RECORD] is record
        assert compat._INIT_RECORD not in vars(layers[2])
        assert record == {'a parameter': 'what happened to it'}

    def test_it_is_replaced_wherever_mmagic_had_imported_it(self, original):
        modules = list(modules_with_generation_init_weights())
        assert len(modules) >= 6
        for module in modules:
            assert module.generation_init_weights is utils.generation_init_weights is not original, module.__name__

    def test_applying_again_changes_nothing(self):
        before = {module: module.generation_init_weights for module in modules_with_generation_init_weights()}
        compat.let_generation_init_weights_pass_layers_by()
        for module, function in before.items():
            assert module.generation_init_weights is function

    @pytest.mark.parametrize('entry', [None, object()])
    def test_entries_among_the_modules_that_are_none_do_no_harm(self, put_back, original, entry, monkeypatch):
        # None is how an import is blocked
        monkeypatch.setitem(sys.modules, 'some_blocked_package', entry)
        monkeypatch.setitem(sys.modules, 'mmagic.some_blocked_module', entry)
        compat.let_generation_init_weights_pass_layers_by()
        assert utils.generation_init_weights.__wrapped__ is original


class Foreign:
    """A type that no checkpoint of MMEngine holds."""


class AsksForAttribute:
    """Is stored as "getattr of owner, name", as a crafted file might be."""

    def __init__(self, owner, name):
        self.request = owner, name

    def __reduce__(self):
        return getattr, self.request


class TestTrainingCheckpoints:
    @pytest.fixture
    def checkpoint(self, tmp_path):
        hub = MessageHub('checkpoint of a test')
        for value in (0.5, 0.25):
            hub.update_scalar('train/loss', value)
        hub.update_info('best_score_PSNR', np.float32(31.5))
        hub.update_info('best_score_SSIM', np.float64(0.9))
        hub.update_info('iter', np.int64(7))
        path = tmp_path / 'iter_7.pth'
        torch.save({'message_hub': hub.state_dict(), 'state_dict': {'weight': torch.arange(3.0)}}, path)
        return path

    @staticmethod
    def assert_is_whole(loaded):
        log = loaded['message_hub']['log_scalars']['train/loss']
        assert isinstance(log, HistoryBuffer)
        assert log.data[0].tolist() == [0.5, 0.25]
        assert log.statistics('min') == 0.25
        info = loaded['message_hub']['runtime_info']
        assert (info['best_score_PSNR'], info['best_score_SSIM'], info['iter']) == (31.5, 0.9, 7)
        assert loaded['state_dict']['weight'].tolist() == [0, 1, 2]

    def test_a_training_checkpoint_loads_as_mmengine_loads_it(self, checkpoint):
        self.assert_is_whole(torch.load(checkpoint, map_location='cpu'))

    @pytest.mark.parametrize('module', ['numpy.core.multiarray', 'numpy._core.multiarray'])
    def test_a_checkpoint_moves_between_numpy_1_and_2(self, checkpoint, tmp_path, module):
        moved = tmp_path / 'moved.pth'
        written = b'numpy._core.multiarray' if Version(np.__version__).major >= 2 else b'numpy.core.multiarray'
        with zipfile.ZipFile(checkpoint) as source, zipfile.ZipFile(moved, 'w') as target:
            for name in source.namelist():
                content = source.read(name)
                if name.endswith('data.pkl'):
                    assert written in content
                    content = content.replace(written, module.encode())
                target.writestr(name, content)
        self.assert_is_whole(torch.load(moved, map_location='cpu'))

    @pytest.mark.skipif(not LOADS_RESTRICTED, reason='torch loads any type before 2.6')
    @pytest.mark.parametrize(
        'content',
        [
            Foreign(),
            AsksForAttribute(HistoryBuffer, '__init__'),
            AsksForAttribute(np.ndarray, 'tofile'),
            {'message_hub': Path('file')},
        ],
    )
    def test_any_other_type_is_still_refused(self, tmp_path, content):
        path = tmp_path / 'foreign.pth'
        torch.save(content, path)
        with pytest.raises(pickle.UnpicklingError):
            torch.load(path, map_location='cpu')


@pytest.fixture(scope='module')
def source(tmp_path_factory):
    """A copy of what a build needs, so that building leaves nothing behind in the repository."""
    target = tmp_path_factory.mktemp('source')
    for name in ('cainet_mm', 'configs', 'tools', 'requirements'):
        shutil.copytree(ROOT / name, target / name, ignore=shutil.ignore_patterns('__pycache__', '.mim'))
    for path in ROOT.iterdir():
        if path.is_file() and not path.name.startswith('.'):
            shutil.copyfile(path, target / path.name)
    (target / 'tools' / '__pycache__').mkdir()
    (target / 'tools' / '__pycache__' / 'train.pyc').write_bytes(b'compiled')
    return target


@pytest.fixture(scope='module')
def unpacked_wheel(source, tmp_path_factory):
    """The wheel of the source distribution, so that both hold what they should."""
    target = tmp_path_factory.mktemp('wheel')
    command = [sys.executable, 'setup.py', '-q', 'sdist', '--dist-dir', target]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (sdist,) = target.glob('cainet_mm-*.tar.gz')
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', target, sdist]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = target.glob('cainet_mm-*.whl')
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target / 'site')
    return target / 'site'


def list_files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


class TestWheel:
    def test_it_holds_every_package(self, unpacked_wheel):
        packages = find_packages(str(ROOT), include=['cainet_mm', 'cainet_mm.*'])
        folders = [ROOT.joinpath(*name.split('.')) for name in packages]
        modules = {path.relative_to(ROOT).as_posix() for folder in folders for path in folder.glob('*.py')}
        assert 'cainet_mm/models/losses/__init__.py' in modules
        assert modules <= list_files(unpacked_wheel)

    def test_it_holds_the_configs_and_tools_and_nothing_compiled(self, source, unpacked_wheel):
        shipped = list_files(unpacked_wheel / 'cainet_mm' / '.mim')
        present = {f'{folder}/{name}' for folder in ('configs', 'tools') for name in list_files(source / folder)}
        assert shipped == (present | {'model-index.yml'}) - {'tools/__pycache__/train.pyc'}

    def test_it_holds_the_weights(self, source, unpacked_wheel):
        shipped = list_files(unpacked_wheel / 'cainet_mm' / 'weights')
        assert shipped == list_files(source / 'cainet_mm' / 'weights')
        assert 'README.md' in shipped

    def test_type_checkers_and_the_shell_find_it(self, unpacked_wheel):
        files = {'cainet_mm/py.typed', 'cainet_cli.py', 'cainet_mm/__main__.py', 'cainet_mm/evaluation/report.html'}
        assert files <= list_files(unpacked_wheel)
        (distribution,) = metadata.distributions(path=[str(unpacked_wheel)])
        (script,) = distribution.entry_points.select(group='console_scripts')
        assert (script.name, script.value) == ('cainet', 'cainet_cli:main')

    def test_its_page_on_an_index_is_the_readme(self, unpacked_wheel):
        (distribution,) = metadata.distributions(path=[str(unpacked_wheel)])
        assert distribution.metadata['Description-Content-Type'] == 'text/markdown'
        assert distribution.metadata['Description'].strip() == (ROOT / 'README.md').read_text().strip()
        assert distribution.metadata['Author'] == 'cainet_mm authors'

    def test_each_extra_asks_for_what_its_file_names(self, unpacked_wheel):
        (distribution,) = metadata.distributions(path=[str(unpacked_wheel)])
        required = [Requirement(line) for line in distribution.requires]

        def extra(name):
            asked = [req for req in required if req.marker and req.marker.evaluate({'extra': name})]
            return {canonicalize_name(req.name): req.specifier for req in asked}

        def file(name):
            return {key: req.specifier for key, req in read_requirements(name).items()}

        assert extra('lite') == file('mmcv-lite.txt')
        for name in ('page', 'export', 'metrics', 'train-logging', 'optional', 'tests'):
            assert extra(name) == file(f'{name}.txt') != {}
        assert extra('all') == extra('optional') | extra('lite')
        parts = [extra(name) for name in ('page', 'export', 'metrics', 'train-logging')]
        assert extra('optional') == {key: value for part in parts for key, value in part.items()}

    def test_its_record_lists_the_configs(self, unpacked_wheel):
        record = next(unpacked_wheel.glob('*.dist-info/RECORD')).read_text()
        assert 'cainet_mm/.mim/configs/quickstart/stage1.py' in record

    def test_it_asks_for_the_accepted_ranges_and_for_no_mmcv(self, unpacked_wheel):
        (distribution,) = metadata.distributions(path=[str(unpacked_wheel)])
        assert distribution.version == '0.2.0'
        required = [Requirement(line) for line in distribution.requires]
        ranges = {req.name: req.specifier for req in required if req.marker is None}
        assert not [name for name in ranges if name.startswith('mmcv')]
        for name, (accepted, _) in stack.ACCEPTED.items():
            assert ranges[name] == Requirement(f'x{accepted}').specifier

    def test_its_configs_can_be_inherited_from_anywhere(self, unpacked_wheel, tmp_path):
        (tmp_path / 'mine.py').write_text("_base_ = 'cainet_mm::quickstart/stage1.py'\nmax_iters = 3\n")
        script = (
            'import json, cainet_mm\n'
            'from mmengine.config import Config\n'
            "config = Config.fromfile('mine.py')\n"
            'print(json.dumps([cainet_mm.__file__, config.model.type, config.max_iters]))\n'
        )
        run = subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', script],
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(unpacked_wheel)},
            capture_output=True,
            text=True,
            check=True,
        )
        module, model, iterations = json.loads(run.stdout.splitlines()[-1])
        assert Path(module) == unpacked_wheel / 'cainet_mm' / '__init__.py'
        assert (model, iterations) == ('SiameseMoCo', 3)

    @pytest.mark.slow
    def test_its_command_fills_a_photograph_anywhere(self, unpacked_wheel, tmp_path):
        photo = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
        mask = np.zeros((40, 50), np.uint8)
        mask[10:20, 15:30] = 255
        Image.fromarray(photo).save(tmp_path / 'photo.png')
        Image.fromarray(mask).save(tmp_path / 'mask.png')
        subprocess.run(
            [sys.executable, '-W', 'ignore', '-c', 'from cainet_cli import main; main()']
            + ['fill', 'photo.png', 'mask.png', '-o', 'filled.png'],
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(unpacked_wheel), 'CAINET_MM_WEIGHTS': str(tmp_path)},
            check=True,
            capture_output=True,
        )
        filled = np.asarray(Image.open(tmp_path / 'filled.png'))
        assert np.array_equal(filled[mask == 0], photo[mask == 0])
        assert (filled[mask > 0] != photo[mask > 0]).any()

    @pytest.mark.slow
    def test_mim_trains_its_configs(self, unpacked_wheel, tmp_path):
        pytest.importorskip('mim', reason='needs openmim of requirements/tests.txt')
        command = f'train cainet_mm stage1.py --gpus 0 --work-dir {tmp_path}/run --cfg-options train_cfg.max_iters=1'
        loader = ('batch_size=4', 'num_workers=0', 'persistent_workers=False')
        run = subprocess.run(
            [sys.executable, '-c', 'from mim.cli import cli; cli()', *command.split()]
            + [f'train_dataloader.{setting}' for setting in loader],
            cwd=tmp_path,
            env={**os.environ, 'PYTHONPATH': str(unpacked_wheel)},
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        assert f'{unpacked_wheel}/cainet_mm/.mim/tools/train.py' in run.stdout
        assert (tmp_path / 'run' / 'iter_1.pth').is_file()


class TestEditableInstall:
    def test_it_links_the_configs_and_mends_wrong_links(self, source, tmp_path):
        mim = source / 'cainet_mm' / '.mim'
        links = {mim / name: source / name for name in ('configs', 'tools', 'model-index.yml')}
        command = [sys.executable, 'setup.py', '-q', 'editable_wheel', '--dist-dir', tmp_path]
        for _ in range(2):
            subprocess.run(command, cwd=source, check=True, capture_output=True)
            for link, target in links.items():
                assert link.is_symlink()
                assert link.resolve() == target
                link.unlink()
                link.symlink_to(tmp_path)

    @pytest.mark.skipif(not (ROOT / 'cainet_mm' / '.mim').exists(), reason='needs pip install -e .')
    def test_its_configs_can_be_inherited_from_anywhere(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / 'mine.py').write_text("_base_ = 'cainet_mm::quickstart/stage1.py'\nmax_iters = 3\n")
        config = Config.fromfile('mine.py')
        assert (config.model.type, config.max_iters) == ('SiameseMoCo', 3)


class TestScope:
    @pytest.mark.parametrize(
        ('registry', 'name'), [(METRICS, 'PSNR'), (MODELS, 'PConvInpaintor'), (MODELS, 'CAINetCritic')]
    )
    def test_a_name_is_found_as_in_mmagics_scope(self, registry, name):
        with registry.switch_scope_and_registry('mmagic') as in_mmagic:
            expected = in_mmagic.get(name)
        with registry.switch_scope_and_registry('cainet_mm') as in_cainet:
            assert in_cainet.scope == 'cainet_mm'
            assert DefaultScope.get_current_instance().scope_name == 'cainet_mm'
            assert in_cainet.get(name) is expected is not None


def test_the_model_index_names_files_that_exist():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    for name in index['Import']:
        metafile = yaml.safe_load((ROOT / name).read_text())
        collections = {collection['Name'] for collection in metafile['Collections']}
        for model in metafile['Models']:
            assert model['In Collection'] in collections
            assert (ROOT / model['Config']).is_file()

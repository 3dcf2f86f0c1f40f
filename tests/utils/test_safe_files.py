"""Files that would run code are refused, wherever a checkpoint is read."""

import pickle
import re
import subprocess
import sys
from collections import Counter, OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
import warm
from conftest import ROOT, tiny
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import HOOKS, MODELS, RUNNERS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from cainet_mm.apis import load_model, publish
from cainet_mm.evaluation.feature_metrics import load_inception, load_lpips
from cainet_mm.inference import zoo
from cainet_mm.inference.published import read_published_config
from cainet_mm.utils import _legacy_torch, safe_loading
from cainet_mm.utils.checkpoint_io import load_part, read_checkpoint, read_weights


class Creates:
    """Pickled, it asks for a file to be created; a real attack would ask for a shell."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


class Asks:
    """Pickled, it is any call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class GivesState:
    """Pickled, it is an object that is made by a call and then given a state."""

    def __init__(self, function, arguments, state):
        self.made = function, arguments, state

    def __reduce__(self):
        return self.made


@pytest.fixture
def witness(tmp_path):
    """What an attack would create."""
    return tmp_path / 'ran'


@pytest.fixture(params=['zip', 'legacy'])
def malicious(request, tmp_path, witness):
    """A training checkpoint with an attack in it, in one of torch's two formats."""
    path = tmp_path / 'iter_1.pth'
    content = dict(meta=dict(iter=1, epoch=0), state_dict={'weight': torch.zeros(2)}, message_hub=Creates(witness))
    torch.save(content, path, _use_new_zipfile_serialization=request.param == 'zip')
    return path


def resume(work_dir, checkpoint, **options):
    config = tiny('stage1', work_dir, iters=2)
    config.update(dict(experiment_name=f'{work_dir.parent.name}_{len(options)}', **options))
    Runner.from_cfg(config).train()


def resume_by_itself(work_dir, checkpoint):
    (work_dir / 'last_checkpoint').write_text(str(checkpoint))
    resume(work_dir, checkpoint, resume=True, load_from=None)


def start_stage2(work_dir, checkpoint):
    encoder = tiny('stage2', work_dir).model.encdec.encoder
    encoder.init_cfg = dict(type='Pretrained', checkpoint=str(checkpoint), prefix='backbone.')
    MODELS.build(encoder).init_weights()


def load_by_mmengine(work_dir, checkpoint):
    """An ``init_cfg`` of a module that is not of this package."""
    from mmengine.model import BaseModule

    BaseModule(init_cfg=dict(type='Pretrained', checkpoint=str(checkpoint))).init_weights()


def load_a_part(work_dir, checkpoint):
    HOOKS.build(dict(type='LoadPartHook', part='0', checkpoint=str(checkpoint)))
    load_part(torch.nn.Sequential(torch.nn.Linear(2, 2)), '0', str(checkpoint))


PLACES = {
    'loader of MMEngine': lambda work_dir, path: CheckpointLoader.load_checkpoint(str(path), map_location='cpu'),
    'resume': lambda work_dir, path: resume(work_dir, path, resume=True, load_from=str(path)),
    'resume by itself': resume_by_itself,
    'load_from': lambda work_dir, path: resume(work_dir, path, load_from=str(path)),
    'init_cfg of stage 2': start_stage2,
    'init_cfg of any module': load_by_mmengine,
    'LoadPartHook': load_a_part,
    'load_model': lambda work_dir, path: load_model(tiny('stage2', work_dir), path),
    'load_model of a published file': lambda work_dir, path: load_model(None, path),
    'publish': lambda work_dir, path: publish(path, tiny('stage2', work_dir), work_dir / 'out.pth'),
    'published config': lambda work_dir, path: read_published_config(path),
    'weights to convert': lambda work_dir, path: read_weights(path),
    'any': lambda work_dir, path: read_checkpoint(path),
    'VGG': lambda work_dir, path: MODELS.build(dict(type='TextureLoss', vgg=str(path))),
    'LPIPS': lambda work_dir, path: load_lpips(path),
    'FID': lambda work_dir, path: load_inception(path),
}


@pytest.mark.parametrize('place', PLACES)
def test_an_attack_is_refused_wherever_a_checkpoint_is_read(place, malicious, witness, tmp_path):
    work_dir = tmp_path / 'work'
    work_dir.mkdir()
    said = r'cannot be read as a checkpoint \(it asks for (builtins|_?io)\.open\)'
    if place == 'resume by itself':
        # it looks for another one
        said = 'None of the checkpoints'
    with pytest.raises((ValueError, RuntimeError), match=said):
        PLACES[place](work_dir, malicious)
    assert not witness.exists()


@pytest.mark.parametrize('runner', ['Runner', 'FlexibleRunner'])
def test_a_config_in_a_checkpoint_is_not_run_on_resuming(runner, witness, tmp_path):
    config = tiny('stage1', tmp_path / 'work', iters=1)
    config.experiment_name = f'config_{runner}'
    config.runner_type = runner
    if runner == 'FlexibleRunner':
        config.strategy = dict(type='mmengine.SingleDeviceStrategy')
    RUNNERS.build(config).train()
    path = tmp_path / 'work/iter_1.pth'
    checkpoint = read_checkpoint(path)
    # as MMEngine's runners look for it
    checkpoint['meta']['config'] = f"x = open({str(witness)!r}, 'w').close()"
    torch.save(checkpoint, path)
    config.update(resume=True, load_from=str(path), experiment_name=f'resumed_{runner}')
    config.train_cfg.max_iters = 2
    assert RUNNERS.build(config).train() is not None
    assert not witness.exists()
    # which is what would be run
    Config.fromstring(checkpoint['meta']['config'], '.py')
    assert witness.exists()


def test_the_attack_would_work(malicious, witness):
    torch.load(malicious, weights_only=False)
    assert witness.exists()


@pytest.mark.slow
@pytest.mark.parametrize('malicious', ['zip'], indirect=True)
def test_command_lines_refuse_in_a_sentence(malicious, witness, tmp_path):
    config = tiny('stage2', tmp_path / 'work')
    config.dump(tmp_path / 'config.py')
    tools = (
        ('inpaint.py', ['photo.png', 'mask.png', '-o', 'out.png', '--config', 'config.py', '--checkpoint', malicious]),
        ('test.py', ['config.py', malicious]),
    )
    for name in ('photo.png', 'mask.png'):
        __import__('cv2').imwrite(str(tmp_path / name), np.full((32, 32, 3), 255, np.uint8))
    for name, arguments in tools:
        command = [warm.python(), ROOT / 'tools' / name, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode
        assert re.search(r'cannot be read as a checkpoint \(it asks for \S*open\)', ' '.join(done.stderr.split()))
    assert not witness.exists()


def read_restricted(path):
    """As before torch 2.6, with any torch."""
    return torch.load(path, map_location='cpu', pickle_module=_legacy_torch.PICKLE, weights_only=False)


READERS = {'torch': read_checkpoint, 'restricted': read_restricted}


@pytest.fixture(params=READERS)
def reader(request):
    return READERS[request.param]


@pytest.mark.parametrize('new_format', [True, False])
def test_what_training_checkpoints_hold_is_read(reader, new_format, tmp_path):
    log = HistoryBuffer()
    for value in (0.5, 0.25):
        log.update(value)
    tensors = dict(
        half=torch.ones(2, dtype=torch.bfloat16),
        flags=torch.tensor([True, False]),
        bytes=torch.arange(3, dtype=torch.uint8),
        part=torch.arange(12.0).reshape(3, 4)[1:, 1:].t(),
        parameter=torch.nn.Parameter(torch.ones(2)),
    )
    content = dict(
        state_dict=OrderedDict(tensors),
        log=log,
        scores=[np.float32(31.5), np.float64(0.9), np.int64(7), np.bool_(True)],
        arrays=[np.arange(3), np.ones((2, 2)), np.zeros(1, np.float32)],
        plain=[1, 2.5, 'text', None, (1, 2), {3}, Counter('aab'), b'bytes', torch.float16, torch.Size((1, 2))],
    )
    path = tmp_path / 'iter_2.pth'
    torch.save(content, path, _use_new_zipfile_serialization=new_format)
    loaded = reader(path)
    assert all(torch.equal(loaded['state_dict'][key], tensors[key]) for key in tensors)
    assert isinstance(loaded['state_dict']['parameter'], torch.nn.Parameter)
    assert loaded['log'].data[0].tolist() == [0.5, 0.25]
    assert loaded['log'].statistics('min') == 0.25
    assert loaded['scores'] == content['scores']
    for array, expected in zip(loaded['arrays'], content['arrays'], strict=True):
        np.testing.assert_array_equal(array, expected)
    assert loaded['plain'] == content['plain']


ATTACKS = {
    'another attribute of an allowed type': Asks(getattr, HistoryBuffer, '__init__'),
    'an attribute of torch': Asks(getattr, torch.Tensor, 'map_'),
    'a class that is not listed': Path('file'),
    'an evaluation': Asks(eval, '1 + 1'),
    'an import': Asks(__import__, 'os'),
    'a torch function': Asks(torch.hub.load, 'owner/repository', 'model'),
    'a state for a function': GivesState(torch._utils._rebuild_tensor_v2, (), None),
}


@pytest.mark.parametrize('attack', ATTACKS)
def test_allowed_names_open_nothing_else(reader, attack, tmp_path):
    path = tmp_path / 'attack.pth'
    torch.save(dict(state_dict={}, message_hub=ATTACKS[attack]), path)
    with pytest.raises((pickle.UnpicklingError, ValueError, TypeError)):
        reader(path)


def test_a_state_is_given_to_nothing_that_all_share(tmp_path):
    """By the pickle instruction BUILD a file could set attributes of classes and functions."""
    before = dict(vars(HistoryBuffer))
    content = b'\x80\x02cmmengine.logging.history_buffer\nHistoryBuffer\n}U\x04evilK\x01s\x86b.'.replace(b'}', b'N}')
    with pytest.raises(pickle.UnpicklingError, match='given a state'):
        _legacy_torch.RestrictedUnpickler(__import__('io').BytesIO(content)).load()
    assert dict(vars(HistoryBuffer)) == before


@pytest.mark.parametrize('content', [b'', b'no checkpoint', b'PK\x03\x04 cut off', b'\x80\x02}q\x00.', b'\x80\x02N.'])
def test_files_that_are_no_checkpoints_are_named(content, tmp_path):
    path = tmp_path / 'file.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'file\.pth.* (cannot be read as a checkpoint|holds no weights)'):
        read_weights(path)


def test_torch_is_as_it_was_after_a_checkpoint_was_read(tmp_path, monkeypatch):
    monkeypatch.setattr(safe_loading, 'TORCH_IS_STRICT', False)
    torch.save(dict(weight=torch.ones(2)), tmp_path / 'weights.pth')
    before = torch.load
    assert read_checkpoint(tmp_path / 'weights.pth')['weight'].tolist() == [1, 1]
    assert torch.load is before


def test_the_restricted_way_is_taken_by_mmengine_s_loader_before_torch_2_6(malicious, witness, monkeypatch):
    """What the older stack does, on this one: torch.load is open as such."""
    monkeypatch.setattr(safe_loading, 'TORCH_IS_STRICT', False)
    with pytest.raises(safe_loading.UnsafeCheckpointError, match='it asks for'):
        CheckpointLoader.load_checkpoint(str(malicious), map_location='cpu')
    assert not witness.exists()
    # torch's own switch for those who want it open
    monkeypatch.setenv(safe_loading.FORCED_OPEN, '1')
    CheckpointLoader.load_checkpoint(str(malicious), map_location='cpu')
    assert witness.exists()


def test_a_published_file_brings_its_config_to_the_tool(tmp_path):
    """``--config`` may be left out."""
    config = tiny('stage2', tmp_path)
    model = MODELS.build(config.model)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'iter_1.pth')
    published = publish(tmp_path / 'iter_1.pth', config, tmp_path / 'cainet.pth')
    for name, value in (('photo.png', 120), ('mask.png', 0)):
        image = np.full((48, 64, 3), value, np.uint8)
        image[20:30, 20:30] = 255
        __import__('cv2').imwrite(str(tmp_path / name), image)
    sys.path.insert(0, str(ROOT / 'tools'))
    try:
        import inpaint

        arguments = [str(tmp_path / 'photo.png'), str(tmp_path / 'mask.png'), '-o', str(tmp_path / 'out.png')]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, 'argv', ['inpaint.py', *arguments, '--checkpoint', str(published)])
            assert inpaint.main() == 0
            patch.setattr(sys, 'argv', ['inpaint.py', *arguments])
            # where the network that comes with the package is gone, too
            patch.setattr(zoo, 'PACKAGE_FOLDER', tmp_path / 'empty')
            patch.setenv('CAINET_MM_WEIGHTS', str(tmp_path / 'empty'))
            with pytest.raises(SystemExit):
                inpaint.main()
    finally:
        sys.path.remove(str(ROOT / 'tools'))
    assert (tmp_path / 'out.png').is_file()
    assert isinstance(read_published_config(published), Config)

"""Crafted checkpoints that ask for nothing forbidden by name, or come by other ways than a local pickle."""

import http.server
import io
import pickle
import struct
import tarfile
import threading
import typing
import warnings
import zipfile

import numpy as np
import pytest
import torch
from conftest import ROOT
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from cainet_mm.apis import load_model
from cainet_mm.utils import safe_loading
from cainet_mm.utils.checkpoint_io import read_checkpoint


@pytest.fixture(params=['torch', 'restricted'], autouse=True)
def stack(request, monkeypatch):
    """Each test is run as torch 2.6 and later read, where this is one of them, and as earlier ones do."""
    if request.param == 'restricted':
        monkeypatch.setattr(safe_loading, 'TORCH_IS_STRICT', False)
    elif not safe_loading.TORCH_IS_STRICT:
        pytest.skip('this torch has no restricted mode that knows training checkpoints')


class Creates:
    """Pickled, it asks for a file to be created."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


def name(module, member):
    return f'c{module}\n{member}\n'.encode()


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


CORE = 'numpy._core.multiarray' if np.lib.NumpyVersion(np.__version__) >= '2.0.0' else 'numpy.core.multiarray'
HISTORY = name('mmengine.logging.history_buffer', 'HistoryBuffer')
DTYPE = name('numpy', 'dtype')
EIGHT_BYTES = name('_codecs', 'encode') + text('AAAAAAAA') + text('latin1') + b'\x86R'
OBJECTS = DTYPE + text('O') + b'\x85R'
# instructions of the pickle format: what an attacker writes by hand
CRAFTED = {
    'array of objects over bytes': name('numpy', 'ndarray') + b'(K\x01\x85' + OBJECTS + EIGHT_BYTES + b'tR',
    'array over bytes': name('numpy', 'ndarray') + b'(K\x01\x85' + text('f8') + EIGHT_BYTES + b'tR',
    'scalar of objects': name(CORE, 'scalar') + OBJECTS + text('x') + b'\x86R',
    'array of another kind': name(CORE, '_reconstruct') + HISTORY + b'K\x00\x85' + EIGHT_BYTES + b'\x87R',
    'dtype of fields': DTYPE + b']' + text('a') + text('O') + b'\x86a\x85R',
    'result of getattr called': name('builtins', 'getattr') + HISTORY + text('min') + b'\x86R)R',
    'state of a class': HISTORY + b'N}' + text('min') + b'K\x01s\x86b',
    'state of a function': name('torch._utils', '_rebuild_tensor_v2') + b'}' + text('__doc__') + b'K\x01sb',
    'items of a class': name('torch', 'Tensor') + text('shape') + b'K\x01s',
    'list that is a class': name('torch', 'Tensor') + b'K\x01a',
    'module kept apart': b'(' + text('module') + HISTORY + text('file') + text('source') + b'tQ',
    'instruction of a later protocol': text('os') + text('system') + b'\x93',
    'instruction INST': b'(ios\nsystem\n',
}


@pytest.mark.parametrize('new_format', [True, False])
@pytest.mark.parametrize('attack', CRAFTED)
def test_allowed_names_cannot_be_turned_against_the_reader(attack, new_format, tmp_path):
    content = b'\x80\x02' + CRAFTED[attack] + b'.'
    path = tmp_path / 'x.pth'
    if new_format:
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('x/data.pkl', content)
            archive.writestr('x/version', '3\n')
    else:
        path.write_bytes(
            b''.join(
                pickle.dumps(part, protocol=2)
                for part in (torch.serialization.MAGIC_NUMBER, torch.serialization.PROTOCOL_VERSION, {})
            )
            + content
            + pickle.dumps([], protocol=2)
        )
    before = dict(vars(HistoryBuffer)), torch._utils._rebuild_tensor_v2.__doc__
    with pytest.raises(ValueError, match=r'x\.pth. cannot be read as a checkpoint .*could run code'):
        read_checkpoint(path)
    assert (dict(vars(HistoryBuffer)), torch._utils._rebuild_tensor_v2.__doc__) == before


def test_state_does_not_turn_numbers_into_addresses(tmp_path):
    """``numpy.dtype('f8')`` is told to have a field of objects; a copy of it would believe that."""
    fields = b'}' + text('a') + DTYPE + text('f8') + b'\x85RK\x00\x86s'
    state = b'(K\x03' + text('<') + b'N' + text('a') + b'\x85' + fields + b'K\x08K\x08K?tb'
    with zipfile.ZipFile(tmp_path / 'x.pth', 'w') as archive:
        archive.writestr('x/data.pkl', b'\x80\x02' + DTYPE + text('f8') + b'\x89\x88\x87R' + state + b'.')
        archive.writestr('x/version', '3\n')
    read = read_checkpoint(tmp_path / 'x.pth')
    assert (read.fields, read.hasobject, read.flags) == (None, False, 0)
    assert np.dtype('f8').fields is None


def test_tensor_gets_no_bytes_beyond_those_in_the_file(tmp_path):
    torch.save({'weight': torch.zeros(4)}, tmp_path / 'whole.pth')
    changes = {b'K\x04tq': b'J\x00\x00\x10\x00tq', b'K\x00K\x04\x85': b'K\x00J\x00\x00\x10\x00\x85'}
    with zipfile.ZipFile(tmp_path / 'whole.pth') as source, zipfile.ZipFile(tmp_path / 'x.pth', 'w') as target:
        for entry in source.namelist():
            content = source.read(entry)
            for old, new in changes.items() if entry.endswith('data.pkl') else ():
                assert old in content
                content = content.replace(old, new)
            target.writestr(entry, content)
    with pytest.raises(ValueError, match=r'x\.pth. cannot be read as a checkpoint'):
        read_checkpoint(tmp_path / 'x.pth')


class Scripted(torch.nn.Module):
    """Says when its TorchScript runs: it is asked for its state as soon as it is loaded."""

    def __init__(self):
        super().__init__()
        self.number = 1

    @torch.jit.export
    def __getstate__(self) -> typing.Tuple[int, bool]:  # noqa: UP006 (TorchScript of torch 2.1)
        return self.number, self.training

    @torch.jit.export
    def __setstate__(self, state: typing.Tuple[int, bool]):  # noqa: UP006
        self.number = state[0]
        self.training = state[1]
        print('TorchScript ran')

    def forward(self, image):
        return image


def test_torchscript_does_not_run(tmp_path, capfd):
    with warnings.catch_warnings():
        # torch's from 2.10 on
        warnings.simplefilter('ignore')
        torch.jit.save(torch.jit.script(Scripted()), str(tmp_path / 'x.pth'))
        torch.jit.load(str(tmp_path / 'x.pth'))
        assert 'TorchScript ran' in capfd.readouterr().out, 'the attack would work'
    with pytest.raises(ValueError, match='TorchScript archive'):
        read_checkpoint(tmp_path / 'x.pth')
    assert 'TorchScript ran' not in capfd.readouterr().out


def test_tar_writes_nothing(tmp_path):
    """Members are written one after the other, so that the second goes where the first, a link, points to."""
    with tarfile.open(tmp_path / 'x.pth', 'w', format=tarfile.PAX_FORMAT) as archive:
        for member in ('storages', 'tensors', 'pickle'):
            content = pickle.dumps(0, protocol=2)
            info = tarfile.TarInfo(member)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    with pytest.raises(ValueError, match='tar archive'):
        read_checkpoint(tmp_path / 'x.pth')


@pytest.fixture
def url(tmp_path, monkeypatch):
    """Serves the test's folder; what is downloaded goes into another."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'cache'))
    monkeypatch.setattr(torch.hub, '_hub_dir', None)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *_):
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_port}/x.pth'
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize('new_format', [True, False])
def test_url_is_read_like_a_file(url, new_format, tmp_path):
    """``torch.hub``, by which MMEngine reads URLs, asks for ``weights_only=False`` with every torch."""
    witness = tmp_path / 'ran'
    torch.save(dict(state_dict=Creates(witness)), tmp_path / 'x.pth', _use_new_zipfile_serialization=new_format)
    with pytest.raises(ValueError, match=r'x\.pth. cannot be read as a checkpoint \(it asks for _?io\.open\)'):
        CheckpointLoader.load_checkpoint(url, map_location='cpu')
    assert not witness.exists()


def test_url_of_weights_is_read(url, tmp_path):
    torch.save(dict(weight=torch.arange(3.0)), tmp_path / 'x.pth')
    assert CheckpointLoader.load_checkpoint(url, map_location='cpu')['weight'].tolist() == [0, 1, 2]


def test_url_of_safetensors_says_to_fetch_it(url):
    for config in (None, ROOT / 'configs/baselines/smoke/dfnet.py'):
        with pytest.raises(ValueError, match=r"x\.safetensors' is a safetensors file, .*; fetch it first"):
            load_model(config, url.replace('.pth', '.safetensors'))


def test_other_threads_read_as_ever_meanwhile(tmp_path):
    """The restriction is that of the reader: another thread's torch.load is not changed, nor does it end too early."""
    witness = tmp_path / 'ran'
    torch.save(Creates(witness), tmp_path / 'x.pth')
    before = torch.load
    with safe_loading._restricted_torch_load():
        with safe_loading._restricted_torch_load():
            pass
        other = threading.Thread(target=lambda: torch.load(tmp_path / 'x.pth', weights_only=False))
        other.start()
        other.join()
        assert witness.exists()
        witness.unlink()
        with pytest.raises(pickle.UnpicklingError):
            torch.load(tmp_path / 'x.pth', weights_only=False)
        assert not witness.exists()
    assert torch.load is before


def test_torch_s_own_switches(tmp_path, monkeypatch):
    witness = tmp_path / 'ran'
    torch.save(Creates(witness), tmp_path / 'x.pth')
    torch.save(dict(weight=torch.ones(2)), tmp_path / 'weights.pth')
    monkeypatch.setenv(safe_loading.FORCED_STRICT, '1')
    assert read_checkpoint(tmp_path / 'weights.pth')['weight'].tolist() == [1, 1]
    monkeypatch.setenv(safe_loading.FORCED_OPEN, '1')
    with pytest.raises((ValueError, RuntimeError)):
        CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'))
    assert not witness.exists()
    monkeypatch.delenv(safe_loading.FORCED_STRICT)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        CheckpointLoader.load_checkpoint(str(tmp_path / 'x.pth'))
    assert witness.exists()

"""From LaMa's and MI-GAN's published names to ours, out of every kind of file that people pass around."""

import pickle
import sys
import zipfile

import pytest
import torch
from conftest import ROOT, load_tool
from lama_reference import lama, random_weights
from lama_reference import published_shapes as lama_shapes
from migan_reference import published_shapes as migan_shapes
from mmagic.registry import MODELS
from mmengine.config import Config
from torch import nn

from cainet_mm.apis import load_model
from cainet_mm.deploy.public_files import read_public_weights

THIN = ROOT / 'configs/baselines/smoke/lama.py'
BLOCKS, WIDTH = 3, 12
MIGAN = dict(size=8, channels=64, widest=12)


@pytest.fixture(scope='module')
def published():
    """Thin weights under LaMa's published names."""
    weights = random_weights(lama_shapes(WIDTH, BLOCKS))
    return {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}


@pytest.fixture(scope='module')
def thin_migan(tmp_path_factory):
    """A config of a thin MI-GAN, and weights under the published names."""
    config = Config.fromfile(ROOT / 'configs/baselines/migan_256.py')
    config.model.encdec.update(MIGAN)
    path = tmp_path_factory.mktemp('configs') / 'thin.py'
    config.dump(path)
    return path, {name: value.float() for name, value in random_weights(migan_shapes(**MIGAN)).items()}


@pytest.fixture
def refusal(call_tool):
    def run(*arguments):
        done = call_tool(*arguments)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        return line

    return run


class Note:
    """Stands for what another package notes in its checkpoints; it is not there when they are read."""


class Runs:
    """Says when it is built."""

    def __reduce__(self):
        return print, ('a foreign object ran',)


class Holder(nn.Module):
    """Modules with weights of given names, and code of their own."""

    def __init__(self, weights):
        super().__init__()
        parts = {}
        for name, value in weights.items():
            first, _, rest = name.partition('.')
            if rest:
                parts.setdefault(first, {})[rest] = value
            elif name.startswith(('running', 'num_batches')):
                self.register_buffer(name, value)
            else:
                self.register_parameter(name, nn.Parameter(value))
        for name, inner in parts.items():
            self.add_module(name, Holder(inner))

    def forward(self, x):
        return x


def as_weights(weights, path):
    torch.save(weights, path)


def as_training_checkpoint(weights, path):
    """As PyTorch Lightning writes it: with classes of its own, with the critic and other networks."""
    state = {f'generator.{name}': value for name, value in weights.items()}
    state |= {'discriminator.model0.0.weight': torch.zeros(2), 'loss_resnet_pl.conv1.weight': torch.zeros(3)}
    Note.__module__ = 'elsewhere'
    sys.modules['elsewhere'] = type(sys)('elsewhere')
    sys.modules['elsewhere'].Note = Note
    try:
        torch.save(dict(callbacks={Note: Note()}, state_dict=state, more=[Runs(), {Note()}]), path)
    finally:
        del sys.modules['elsewhere']


def as_torchscript(weights, path):
    module = Holder({f'model.generator.{name}': value for name, value in weights.items()})
    torch.jit.save(torch.jit.script(module), path)


@pytest.mark.parametrize('write', [as_weights, as_training_checkpoint, as_torchscript])
def test_public_weights_give_the_images_of_the_public_network(write, published, call_tool, tmp_path):
    write(published, str(tmp_path / 'public.pt'))
    done = call_tool('convert_lama', tmp_path / 'public.pt', tmp_path / 'ours.pth', '--config', THIN)
    assert done.returncode == 0, done.stderr
    assert f'{len(published)} tensors of LaMa' in done.stdout and 'ran' not in done.stdout
    written = torch.load(tmp_path / 'ours.pth', weights_only=True)['state_dict']
    assert len(written) == len(published)
    if write is as_weights:
        image, mask = torch.rand(1, 3, 16, 24), (torch.rand(1, 1, 16, 24) > 0.7).float()
        with torch.no_grad():
            (ours,) = load_model(THIN, tmp_path / 'ours.pth').generator(torch.cat((image * 2 - 1, mask), 1))
        wide = {name: value.double() for name, value in published.items()}
        theirs = lama(wide, (image * (1 - mask)).double(), mask.double(), BLOCKS)
        torch.testing.assert_close((ours + 1) / 2, theirs.float(), rtol=0, atol=1e-5)
    else:
        as_weights(published, tmp_path / 'plain.pth')
        call_tool('convert_lama', tmp_path / 'plain.pth', tmp_path / 'same.pth', '--config', THIN)
        same = torch.load(tmp_path / 'same.pth', weights_only=True)['state_dict']
        assert all(torch.equal(value, same[name]) for name, value in written.items())


@pytest.mark.parametrize(('config', 'blocks'), [('lama', 9), ('lama_big', 18)])
def test_lamas_configs_have_the_published_names_and_shapes(config, blocks, monkeypatch):
    tool = load_tool('convert_lama', monkeypatch)
    path = ROOT / f'configs/baselines/{config}_4xb8-500k_places2-256x256.py'
    with torch.device('meta'):
        generator = MODELS.build(Config.fromfile(path).model.encdec).generator
    state = generator.state_dict()
    names = tool.public_names(generator)
    assert {public: tuple(state[ours].shape) for public, ours in names.items()} == lama_shapes(64, blocks)


def test_another_variant_is_named(published, thin_migan, refusal, tmp_path):
    out, path = tmp_path / 'ours.pth', tmp_path / 'public.pth'
    fewer = Config.fromfile(THIN)
    fewer.model.encdec.generator.num_blocks = 2
    fewer.dump(tmp_path / 'fewer.py')
    torch.save(published, path)
    line = refusal('convert_lama', path, out, '--config', tmp_path / 'fewer.py')
    assert 'holds a LaMa of 3 blocks, and the config has 2' in line
    big = {f'model.{index}.conv1.ffc.convl2l.weight': torch.zeros(1) for index in range(5, 23)}
    torch.save(big, path)
    fitting = refusal('convert_lama', path, out, '--config', THIN)
    assert 'take --config configs/baselines/lama_big_4xb8-500k_places2-256x256.py' in fitting
    torch.save({**published, 'model.5.conv1.ffc.convg2g.lfu.bn.weight': torch.zeros(1)}, path)
    assert 'local Fourier units' in refusal('convert_lama', path, out, '--config', THIN)

    config, weights = thin_migan
    torch.save({name.replace('b8.', 'b512.'): value for name, value in weights.items()}, path)
    line = refusal('convert_migan', path, out, '--config', config)
    assert 'for images of 512 pixels, and the config has 8; take --config configs/baselines/migan_512.py' in line
    assert 'is not one of MI-GAN' in refusal('convert_migan', path, out, '--config', THIN)
    assert not out.exists()


def test_every_weight_is_accounted_for(published, thin_migan, refusal, tmp_path):
    out, path = tmp_path / 'ours.pth', tmp_path / 'public.pth'
    weights = dict(published)
    del weights['model.5.conv1.bn_g.running_var']
    weights['model.99.weight'] = torch.zeros(1)
    torch.save(weights, path)
    line = refusal('convert_lama', path, out, '--config', THIN)
    assert 'missing: model.5.conv1.bn_g.running_var; keys left over: model.99.weight.' in line
    twice = {f'{start}generator.{name}': value for start in ('', 'ema.') for name, value in published.items()}
    torch.save(twice, path)
    assert 'is there twice, as generator.' in refusal('convert_lama', path, out, '--config', THIN)
    config, weights = thin_migan
    torch.save({name: value for name, value in weights.items() if name != 'synthesis.b8.conv1.noise_const'}, path)
    assert 'missing: synthesis.b8.conv1.noise_const.' in refusal('convert_migan', path, out, '--config', config)


def test_migans_weights_are_converted_and_fill(thin_migan, call_tool, tmp_path):
    config, weights = thin_migan
    # as a wrapper's, the patterns with other leading axes
    public = {f'net.{name}': value.squeeze() if name.endswith('_const') else value for name, value in weights.items()}
    torch.save(public, tmp_path / 'public.pt')
    done = call_tool('convert_migan', tmp_path / 'public.pt', tmp_path / 'ours.pth', '--config', config)
    assert done.returncode == 0, done.stderr
    state = load_model(config, tmp_path / 'ours.pth').generator.state_dict()
    assert torch.equal(state['decoder.8.conv1.noise'], weights['synthesis.b8.conv1.noise_const'])
    assert torch.equal(state['decoder.8.upsample.kept'], weights['synthesis.b8.upsample.filter_const'])
    assert len(state) == len(weights)


class TestReadingFilesOfOthers:
    def test_nothing_in_them_runs_and_nothing_outside_is_reached(self, tmp_path, capfd):
        torch.save(dict(a=torch.ones(2), b=Runs()), tmp_path / 'runs.pth')
        with pytest.raises(ValueError, match='holds no weights'):
            read_public_weights(tmp_path / 'runs.pth')
        assert 'ran' not in capfd.readouterr().out
        assert pickle.loads(pickle.dumps(Runs())) is None and 'ran' in capfd.readouterr().out, 'the attack would work'

    def test_views_and_shared_numbers_come_out_as_they_were(self, tmp_path):
        base = torch.arange(12.0).reshape(3, 4)
        weights = dict(a=base.t(), b=base[1:, 2:], c=nn.Parameter(base), d=torch.tensor(3), e=torch.zeros(0, 2))
        weights['f'] = base.bfloat16()
        torch.save(weights, tmp_path / 'views.pth')
        read = read_public_weights(tmp_path / 'views.pth')
        assert read.keys() == weights.keys()
        assert all(
            torch.equal(read[name], value) and read[name].dtype == value.dtype for name, value in weights.items()
        )

    @pytest.mark.parametrize('content', [[1, 2], {}, dict(epoch=3), dict(state_dict=[torch.ones(1)])])
    def test_what_holds_no_weights(self, content, tmp_path):
        torch.save(content, tmp_path / 'odd.pth')
        with pytest.raises(ValueError, match=r'odd\.pth.* holds no weights'):
            read_public_weights(tmp_path / 'odd.pth')

    def test_what_is_no_checkpoint(self, tmp_path):
        torch.save(dict(a=torch.zeros(1000)), tmp_path / 'whole.pth')
        (tmp_path / 'cut.pth').write_bytes((tmp_path / 'whole.pth').read_bytes()[:2000])
        (tmp_path / 'text.pth').write_text('no checkpoint')
        with zipfile.ZipFile(tmp_path / 'other.pth', 'w') as archive:
            archive.writestr('a/b.txt', 'no checkpoint')
        with zipfile.ZipFile(tmp_path / 'damaged.pth', 'w') as archive:
            archive.writestr('a/data.pkl', b'\x80\x02cnowhere\nnothing\n')
        for name in ('cut', 'text', 'other', 'damaged'):
            with pytest.raises(ValueError, match=rf'{name}\.pth.* cannot be read as a checkpoint'):
                read_public_weights(tmp_path / f'{name}.pth')

"""Checkpoints to hand on: weights, config and hash, and nothing that could run."""

import hashlib
import json
import re
import sys
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT, tiny
from mmengine.config import Config
from mmengine.hooks import EMAHook
from safetensors import safe_open

from cainet_mm.apis import load_model, publish, training_size
from cainet_mm.inference.published import read_metadata


@pytest.fixture
def trained(tmp_path):
    """A tiny model, and its checkpoint as training leaves it."""
    torch.manual_seed(0)
    config = tiny('stage2', tmp_path)
    model = load_model(config)
    checkpoint = tmp_path / 'iter_9.pth'
    torch.save(dict(state_dict=model.state_dict(), optimizer=dict(step=9), meta=dict(iter=9)), checkpoint)
    return config, model, checkpoint


def answer(model):
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        return model.generator(torch.rand(1, 4, 32, 32, generator=generator))[0]


@pytest.mark.parametrize('half', [False, True])
def test_published_file_needs_no_config_and_answers_as_the_checkpoint(half, trained, tmp_path):
    config, model, checkpoint = trained
    path = publish(checkpoint, config, tmp_path / 'new/cainet.pth', half=half)
    loaded = load_model(None, path)
    assert all(weight.dtype == torch.float32 for weight in loaded.parameters())
    if half:
        torch.testing.assert_close(answer(loaded), answer(model), rtol=0, atol=0.02)
        assert not torch.equal(answer(loaded), answer(model))
    else:
        assert torch.equal(answer(loaded), answer(model))
    assert tuple(loaded.cfg.image_size) == tuple(config.image_size)


def test_name_holds_the_hash_of_the_file_and_nothing_is_left_beside_it(trained, tmp_path):
    path = publish(trained[2], trained[0], tmp_path / 'out/cainet.pth')
    (digest,) = re.fullmatch(r'cainet-([0-9a-f]{8})\.pth', path.name).groups()
    assert hashlib.sha256(path.read_bytes()).hexdigest().startswith(digest)
    assert list(path.parent.iterdir()) == [path]


def test_another_ending_is_refused(trained, tmp_path):
    for name in ('net.onnx', 'net-v1.2'):
        with pytest.raises(ValueError, match=r'ends in \.safetensors or \.pth'):
            publish(trained[2], trained[0], tmp_path / name)


def test_what_only_training_needs_stays_behind(trained, tmp_path):
    config, model, checkpoint = trained
    content = torch.load(publish(checkpoint, config, tmp_path / 'cainet.pth'), weights_only=True)
    assert content.keys() == {'state_dict', 'meta'}
    assert content['state_dict'].keys() == {key for key in model.state_dict() if not key.startswith('disc.')}
    assert any(key.startswith('disc.') for key in model.state_dict())


def test_networks_of_losses_stay_behind(trained, tmp_path):
    config, model, checkpoint = trained
    losses = {'loss_percep.vgg.weight': torch.zeros(9), 'losses.texture.vgg.weight': torch.zeros(9)}
    torch.save(dict(state_dict=model.state_dict() | losses), checkpoint)
    for critic in (False, True):
        path = publish(checkpoint, config, tmp_path / 'cainet.pth', critic=critic)
        weights = torch.load(path, weights_only=True)['state_dict']
        assert weights.keys() == {key for key in model.state_dict() if critic or not key.startswith('disc.')}
        load_model(None, path)


@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
def test_notes_are_text(trained, tmp_path, ending):
    path = publish(trained[2], trained[0], tmp_path / f'cainet.{ending}', notes={'photographs': 9})
    if ending == 'pth':
        assert torch.load(path, weights_only=True)['meta']['photographs'] == '9'
    else:
        assert read_metadata(path)['photographs'] == '9'


def test_config_is_data_that_nobody_executes(trained, tmp_path):
    config, _, checkpoint = trained
    marker = tmp_path / 'executed'
    config.model.note = f"'+__import__('pathlib').Path({str(marker)!r}).touch()+'"
    path = publish(checkpoint, config, tmp_path / 'cainet.pth')
    with pytest.raises(ValueError, match=r'cainet-\w+\.pth.* cannot be built .*note'):
        load_model(None, path)
    assert not marker.exists()


def write_published(path, **config):
    torch.save(dict(state_dict={}, meta=dict(config_json=json.dumps(config))), path)
    return path


TELEA = dict(type='ClassicalInpaintor', method='telea', data_preprocessor=dict(type='DataPreprocessor'))


@pytest.mark.parametrize(
    'attack',
    [
        dict(model=dict(type='os.mkdir', path='executed')),
        dict(model=dict(TELEA, data_preprocessor=dict(type='os.mkdir', path='executed'))),
        dict(model=dict(TELEA, data_preprocessor=[dict(a=dict(type='pathlib.Path.mkdir', self='executed'))])),
        # imported for its name alone
        dict(model=dict(type='planted')),
        dict(model=dict(TELEA, data_preprocessor=dict(type='planted.Model'))),
        dict(model=dict(TELEA, data_preprocessor=dict(type='mmengine.planted'))),
        dict(model=dict(TELEA, _scope_='planted')),
        dict(model=TELEA, default_scope='planted'),
        # a class, but no network
        dict(model=dict(type='mmengine.config.Config.fromfile', filename='planted/registry.py')),
        dict(model=dict(type='subprocess.Popen', args=['mkdir', 'executed'])),
    ],
    ids=lambda attack: json.dumps(attack)[:60],
)
def test_nothing_is_imported_or_called_by_its_name_in_a_config(attack, tmp_path, monkeypatch):
    """MMEngine imports types that it does not know, and calls whatever has the name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / 'planted').mkdir()
    for name in ('__init__', 'registry'):
        (tmp_path / f'planted/{name}.py').write_text('import os\nos.mkdir("executed")\n')
    path = write_published(tmp_path / 'evil.pth', **attack)
    with pytest.raises(ValueError, match=r'The config in .*evil\.pth. asks for .* could run code'):
        load_model(None, path)
    assert not (tmp_path / 'executed').exists()
    assert 'planted' not in sys.modules


@pytest.mark.parametrize('name', ['quickstart/stage2', 'mix/pure_python', 'mix/aot_gan_daf', 'baselines/smoke/lbam'])
def test_configs_of_every_style_pass_through_a_published_file(name, tmp_path):
    path = ROOT / f'configs/{name}.py'
    model = load_model(path)
    torch.save(dict(state_dict=model.state_dict()), tmp_path / 'iter_1.pth')
    published = load_model(None, publish(tmp_path / 'iter_1.pth', path, tmp_path / 'model.pth'))
    ours, theirs = model.generator.state_dict(), published.generator.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize('content', ['no JSON', '[1]', 3])
def test_a_damaged_config_gets_a_sentence(content, tmp_path):
    torch.save(dict(state_dict={}, meta=dict(config_json=content)), tmp_path / 'model.pth')
    with pytest.raises(ValueError, match=r'model\.pth. is damaged'):
        load_model(None, tmp_path / 'model.pth')


def test_what_float16_cannot_hold_is_refused_by_its_name(trained, tmp_path):
    config, model, checkpoint = trained
    weights = model.state_dict()
    key = next(key for key in weights if key.startswith('generator.'))
    weights[key].view(-1)[0] = -70000.0
    torch.save(dict(state_dict=weights), checkpoint)
    with pytest.raises(ValueError, match=f'float16 holds numbers up to 65504, and {re.escape(key)} has one of 70000'):
        publish(checkpoint, config, tmp_path / 'half.pth', half=True)
    assert not list(tmp_path.glob('half*'))
    assert publish(checkpoint, config, tmp_path / 'whole.pth').is_file()


@pytest.mark.parametrize('ending', ['pth', 'safetensors'])
def test_the_same_weights_get_the_same_hash(trained, tmp_path, ending):
    config, _, checkpoint = trained
    notes = {name: 'x' for name in 'abcdefgh'}
    paths = [publish(checkpoint, config, tmp_path / name / f'cainet.{ending}', notes=notes) for name in ('one', 'two')]
    assert paths[0].name == paths[1].name


def test_safetensors_hold_the_same_as_pth_and_notes(trained, tmp_path):
    config, model, checkpoint = trained
    config.model.losses.texture = dict(vgg='/private/vgg16.pth')
    config.train_dataloader.dataset.data_root = '/private/photos'
    config.image_size = None
    torch.save(dict(model.state_dict(), num_batches_tracked=torch.tensor(7)), checkpoint)
    path = publish(checkpoint, config, tmp_path / 'cainet.safetensors', half=True, notes={'data': '9 photographs'})
    pickled = torch.load(publish(checkpoint, config, tmp_path / 'cainet.pth', half=True), weights_only=True)
    with safe_open(path, 'pt') as file:
        metadata, weights = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    assert metadata == {**pickled['meta'], 'data': '9 photographs'}
    assert weights.keys() == pickled['state_dict'].keys()
    for key, value in pickled['state_dict'].items():
        assert weights[key].dtype == value.dtype == (torch.int64 if key == 'num_batches_tracked' else torch.float16)
        assert torch.equal(weights[key], value)
    assert weights['num_batches_tracked'] == 7
    assert b'/private' not in path.read_bytes()
    # from the crops of the training
    assert training_size(Config(json.loads(metadata['config_json']))) == 64


def test_averaged_weights_are_taken_where_a_hook_keeps_them(trained, tmp_path):
    config, model, checkpoint = trained
    hook = EMAHook(momentum=0.25)
    runner = SimpleNamespace(model=model, iter=0)
    hook.before_run(runner)
    before = {key: value.clone() for key, value in model.generator.named_parameters()}
    with torch.no_grad():
        for weight in model.parameters():
            weight += 1
    # the first update copies
    hook.ema_model.steps += 1
    hook.after_train_iter(runner, 0)
    content = dict(state_dict=model.state_dict())
    hook.before_save_checkpoint(runner, content)
    torch.save(content, checkpoint)
    loaded = load_model(None, publish(checkpoint, config, tmp_path / 'cainet.safetensors'))
    for key, weight in loaded.generator.named_parameters():
        torch.testing.assert_close(weight, before[key] + 0.25)


def test_a_model_that_fills_no_holes_is_not_published(tmp_path):
    config = tiny('stage1', tmp_path)
    torch.save(dict(state_dict=load_model(config).state_dict()), tmp_path / 'stage1.pth')
    with pytest.raises(ValueError, match=r'stage1\.pth. is of a SiameseMoCo, which fills no holes'):
        publish(tmp_path / 'stage1.pth', config, tmp_path / 'out.pth')


class TestTool:
    @pytest.fixture
    def files(self, trained, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        config, _, checkpoint = trained
        config.dump('tiny.py')
        torch.save([1, 2], 'list.pth')
        torch.save(dict(state_dict=load_model(tiny('stage1', tmp_path)).state_dict()), 'stage1.pth')
        tiny('stage1', tmp_path).dump('stage1.py')
        (tmp_path / 'cut.pth').write_bytes(checkpoint.read_bytes()[:20000])
        (tmp_path / 'none.py').write_text('x = 1')
        return tmp_path

    def test_it_notes_what_is_known_of_the_weights(self, files, call_tool):
        notes = ('--note', 'licence=Apache-2.0', '--note', 'command=tools/train.py a=b')
        done = call_tool('publish_model', 'tiny.py', 'iter_9.pth', 'cainet.safetensors', '--dtype', 'float16', *notes)
        assert done.returncode == 0, done.stderr
        (path,) = files.glob('cainet-*.safetensors')
        metadata = read_metadata(path)
        assert (metadata['licence'], metadata['command']) == ('Apache-2.0', 'tools/train.py a=b')
        assert path.stat().st_size < 0.6 * (files / 'iter_9.pth').stat().st_size

    def test_it_publishes(self, files, call_tool):
        done = call_tool('publish_model', 'tiny.py', 'iter_9.pth', 'new/cainet.pth', '--half')
        assert done.returncode == 0, done.stderr
        assert re.search(r'new/cainet-[0-9a-f]{8}\.pth: ', done.stdout)

    @pytest.mark.parametrize(
        ('arguments', 'what'),
        [
            (('tiny.py', 'cut.pth', 'out.pth'), r"'cut\.pth' cannot be read"),
            (('tiny.py', 'list.pth', 'out.pth'), r"'list\.pth' has a list where weights are expected"),
            (('none.py', 'iter_9.pth', 'out.pth'), r"'none\.py' has no model"),
            (('stage1.py', 'stage1.pth', 'out.pth'), r'stage1\.pth is of a SiameseMoCo, which fills no holes'),
            (('tiny.py', 'iter_9.pth', 'tiny.py/out.pth'), r'tiny\.py'),
            (('tiny.py', 'iter_9.pth', 'out.pth', '--note', 'licence'), r"takes KEY=VALUE, .* got 'licence'"),
            (('tiny.py', 'iter_9.pth', 'out.pth', '--note', 'config_json={}'), 'give the note another name'),
            (('cainet_mm::absent.py', 'iter_9.pth', 'out.pth'), r"'cainet_mm::absent\.py' cannot be read"),
        ],
    )
    def test_what_cannot_be_published_gets_a_sentence(self, files, call_tool, arguments, what):
        done = call_tool('publish_model', *arguments)
        assert done.returncode == 2
        assert re.search(f'publish_model.py: error: .*{what}', done.stderr)
        assert not list(files.glob('**/out*'))


def test_file_without_a_config_gets_a_sentence(trained, tmp_path):
    with pytest.raises(ValueError, match='holds no config; give the one that it was trained with'):
        load_model(None, trained[2])
    with pytest.raises(ValueError, match='needs a config'):
        load_model(None)
    for name in ('absent.pth', 'absent.safetensors'):
        with pytest.raises(FileNotFoundError, match=re.escape(name)):
            load_model(None, tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r'absent\.pth'):
        publish(tmp_path / 'absent.pth', Config(), tmp_path / 'out.pth')

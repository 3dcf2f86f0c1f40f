"""Trainings that begin with the weights of a network: tools/train.py --finetune."""

import signal
from types import SimpleNamespace

import pytest
import torch
from conftest import load_tool, tiny
from mmengine.config import Config
from mmengine.model import PretrainedInit
from safetensors.torch import load_file

from cainet_mm.apis import load_model, publish
from cainet_mm.engine import LoadPartHook, StrictLoadHook
from cainet_mm.utils.checkpoint_io import WeightsError, read_weights


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A tiny config whose encoder looks for an absent stage 1, and files of a network with and without its critic."""
    folder = tmp_path_factory.mktemp('finetune')
    torch.manual_seed(3)
    config = tiny('stage2', folder, iters=1)
    model = load_model(config)
    torch.save(dict(state_dict=model.state_dict()), folder / 'iter_9.pth')
    plain = publish(folder / 'iter_9.pth', config, folder / 'plain.safetensors')
    whole = publish(folder / 'iter_9.pth', config, folder / 'whole.safetensors', critic=True)
    absent = str(folder / 'absent.pth')
    config.model.encdec.encoder.init_cfg = dict(type='Pretrained', checkpoint=absent, prefix='backbone.')
    config.custom_hooks = [dict(type='LoadPartHook', part='generator.encoder', checkpoint=absent)]
    config.update(val_dataloader=None, val_cfg=None, val_evaluator=None)
    for wrapper in (config.optim_wrapper.generator, config.optim_wrapper.disc):
        wrapper.optimizer.lr = 0.0
    config.dump(folder / 'stage2.py')
    return SimpleNamespace(folder=folder, config=config, model=model, plain=plain, whole=whole)


@pytest.fixture
def train(call_tool, trained, tmp_path):
    """Calls the tool on the tiny config; the signals that it sets are put back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    given = ('train', trained.folder / 'stage2.py', '--work-dir', tmp_path / 'run')
    yield lambda *arguments: call_tool(*given, *arguments)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_the_file_has_the_critic_only_where_it_is_asked_for(trained, tmp_path):
    assert load_file(trained.whole).keys() == trained.model.state_dict().keys()
    assert not any(key.startswith('disc.') for key in load_file(trained.plain))
    assert load_model(None, trained.whole).state_dict().keys() == trained.model.state_dict().keys()
    with pytest.raises(ValueError, match=r'has no critic \(disc\.\*\); publish it without one'):
        publish(trained.plain, trained.config, tmp_path / 'out.pth', critic=True)
    assert not list(tmp_path.iterdir())


def test_parts_may_be_named_by_their_classes(trained, monkeypatch):
    """As in MMEngine's pure Python configs."""
    config = trained.config.copy()
    config.custom_hooks = [dict(type=LoadPartHook, part='generator.encoder', checkpoint='absent.pth')]
    config.model.encdec.encoder.init_cfg = dict(type=PretrainedInit, checkpoint='absent.pth')
    load_tool('train', monkeypatch).apply_finetune(config, str(trained.plain))
    assert config.custom_hooks == [] and config.model.encdec.encoder.init_cfg is None


def test_training_begins_with_generator_and_critic_and_needs_no_other_checkpoint(train, trained, tmp_path):
    """At a learning rate of 0 a step leaves the weights as they were."""
    done = train('--finetune', trained.whole)
    assert not done.returncode, done.stderr
    saved = read_weights(tmp_path / 'run/iter_1.pth')
    wanted = trained.model.state_dict()
    assert saved.keys() == wanted.keys() and all(torch.equal(saved[key], wanted[key]) for key in wanted)
    (log,) = (tmp_path / 'run').glob('*/*.log')
    assert f'Begins with the weights of {trained.whole}, with its critic.' in log.read_text()


def test_a_checkpoint_of_the_run_itself_goes_before_it(monkeypatch, trained, tmp_path):
    tool, built = load_tool('train', monkeypatch), []

    def build_nothing(command, config):
        built.append((bool(config.get('resume')), config.load_from))
        command.refuse('seen')

    monkeypatch.setattr(tool, 'build_runner', build_nothing)
    monkeypatch.setattr(tool, 'listen_to', lambda handler: None)
    given = [str(trained.folder / 'stage2.py'), '--work-dir', str(tmp_path), '--finetune', str(trained.plain)]
    for more in (['--resume'], [], ['--resume']):
        with pytest.raises(SystemExit):
            tool.main([*given, *more])
        if len(built) == 2:
            (tmp_path / 'iter_3.pth').touch()
    begun = (False, str(trained.plain))
    assert built == [begun, begun, (True, None)]


@pytest.mark.parametrize(
    ('model_has', 'file_has', 'said'),
    [
        (True, True, ', with its critic.'),
        (True, False, '; it has no critic, which starts new.'),
        (False, True, '; its critic is left out, as the config has none.'),
        (False, False, '.'),
    ],
)
def test_the_log_says_what_becomes_of_the_critic(model_has, file_has, said):
    parts = dict(generator=torch.nn.Linear(2, 2), disc=torch.nn.Linear(2, 1))
    model = torch.nn.ModuleDict({name: part for name, part in parts.items() if name != 'disc' or model_has})
    given = {f'generator.{key}': torch.ones_like(value) for key, value in parts['generator'].state_dict().items()}
    if file_has:
        given.update({f'disc.{key}': torch.ones_like(value) for key, value in parts['disc'].state_dict().items()})
    logged = []
    logger = SimpleNamespace(info=logged.append)
    runner = SimpleNamespace(model=model, _resume=False, _load_from='a.pth', cfg=Config(), logger=logger)
    hook = StrictLoadHook()
    checkpoint = dict(state_dict=given)
    hook.after_load_checkpoint(runner, checkpoint)
    assert checkpoint['state_dict'].keys() == model.state_dict().keys()
    hook.before_train(runner)
    assert logged == [f'Begins with the weights of a.pth{said}']


def test_a_network_has_a_name_or_a_file(monkeypatch, shipped):
    tool = load_tool('train', monkeypatch)
    config = Config(dict(model=dict(type='A'), load_from='x.pth', load_from_partial=True))
    tool.apply_finetune(config, 'cainet-photos')
    assert (config.load_from, config.load_from_partial) == (str(shipped[1]), False)
    with pytest.raises(ValueError, match="no network named 'cainet-photo'; the nearest names are cainet-photos"):
        tool.apply_finetune(config, 'cainet-photo')
    with pytest.raises(FileNotFoundError, match=r'--finetune absent\.pth is not a file'):
        tool.apply_finetune(config, 'absent.pth')


def test_what_does_not_fit_is_refused_before_anything_is_saved(train, trained, tmp_path):
    done = train('--finetune', trained.plain, '--cfg-options', 'model.encdec.decoder.fusion.hidden_channels=8')
    assert (done.returncode, 'Keys of another shape: generator.decoder.' in done.stderr) == (2, True), done.stderr
    assert not list((tmp_path / 'run').glob('*.pth'))
    done = train('--finetune', trained.plain, '--resume', trained.plain)
    assert done.returncode == 2 and 'give one of them' in done.stderr


def test_weights_of_another_critic_are_refused(trained, tmp_path):
    weights = {**trained.model.state_dict(), 'disc.more.weight': torch.ones(1)}
    torch.save(weights, tmp_path / 'critic.pth')
    with pytest.raises(WeightsError, match=r'Keys left over: disc\.more\.weight'):
        load_model(trained.config, tmp_path / 'critic.pth')


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_data_that_are_not_there_are_named_without_a_traceback(tool, call_tool, trained, tmp_path):
    config = tiny('stage2', tmp_path, iters=1)
    loader = config.train_dataloader if tool == 'train' else config.test_dataloader
    loader.dataset = dict(type='PhotoDataset', data_root=str(tmp_path / 'absent'), ann_file='', pipeline=[])
    config.dump(tmp_path / 'config.py')
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR1)}
    done = call_tool(tool, tmp_path / 'config.py', *([trained.plain] if tool == 'test' else []))
    for number, handler in before.items():
        signal.signal(number, handler)
    assert done.returncode == 2 and f"The data folder '{tmp_path / 'absent'}/' does not exist" in done.stderr
    assert 'Traceback' not in done.stderr

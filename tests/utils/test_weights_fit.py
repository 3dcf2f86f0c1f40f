"""Weights are loaded where every key fits, in whichever form a file holds them; any other file is an error."""

import json
from types import SimpleNamespace

import pytest
import torch
from conftest import tiny
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS
from safetensors.torch import save_file

from cainet_mm.apis import load_model
from cainet_mm.utils.checkpoint_io import WeightsError, load_strict, read_weights


@pytest.fixture(scope='module')
def model(tmp_path_factory):
    """A tiny model of stage 2, its config, and a folder with its checkpoint and that of a tiny stage 1."""
    folder = tmp_path_factory.mktemp('weights')
    torch.manual_seed(0)
    config = tiny('stage2', folder / 'work')
    config.dump(folder / 'stage2.py')
    built = load_model(config)
    torch.save(dict(state_dict=built.state_dict(), meta={}), folder / 'stage2.pth')
    stage1 = MODELS.build(tiny('stage1', folder).model)
    torch.save(dict(state_dict=stage1.state_dict(), meta={}), folder / 'stage1.pth')
    optimiser = torch.optim.Adam(built.generator.parameters())
    torch.save(optimiser.state_dict(), folder / 'optimiser.pth')
    # as MMEngine writes them for several optimisers
    torch.save(dict(generator=optimiser.state_dict(), disc=optimiser.state_dict()), folder / 'optimisers.pth')
    return built, config, folder


def generator_of(state):
    return {key.removeprefix('generator.'): value for key, value in state.items() if key.startswith('generator.')}


FORMS = {
    'state dict': lambda state: state,
    'module.': lambda state: {f'module.{key}': value for key, value in state.items()},
    'module. in state_dict': lambda state: dict(state_dict={f'module.{key}': value for key, value in state.items()}),
    'generator': generator_of,
    'generator in a dict': lambda state: dict(generator=generator_of(state), disc={}),
    'module. in generator': lambda state: dict(
        generator={f'module.{key}': value for key, value in generator_of(state).items()}
    ),
    'no critic': lambda state: {key: value for key, value in state.items() if not key.startswith('disc.')},
    'networks of losses': lambda state: {
        **state,
        'loss_percep.vgg.0.weight': torch.ones(2),
        'losses.texture.0.weight': torch.ones(2),
    },
}


@pytest.mark.parametrize('form', FORMS)
def test_every_form_gives_the_same_generator(form, model, tmp_path):
    built, config, _ = model
    torch.save(FORMS[form](built.state_dict()), tmp_path / 'form.pth')
    loaded = load_model(config, tmp_path / 'form.pth').generator.state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in built.generator.state_dict().items())


@pytest.mark.parametrize(
    ('name', 'what'),
    [
        ('stage1', r'Keys missing: generator\.\S+, .* and \d+ more; keys left over: .*It is a checkpoint of stage 1'),
        ('optimiser', 'has the state of an optimiser where weights are expected'),
        ('optimisers', 'has the state of an optimiser where weights are expected'),
    ],
)
def test_a_file_that_is_something_else_is_named(name, what, model):
    built, _, folder = model
    before = {key: value.clone() for key, value in built.state_dict().items()}
    with pytest.raises(WeightsError, match=rf'{name}\.pth. {what}' if name != 'stage1' else what):
        load_strict(built, read_weights(folder / f'{name}.pth'), 'given.pth')
    assert all(torch.equal(value, before[key]) for key, value in built.state_dict().items())


def test_an_encoder_takes_the_forms_as_the_models_do(model, tmp_path):
    built, config, _ = model
    encoder = built.generator.encoder.state_dict()
    torch.save({f'module.backbone.{key}': value for key, value in encoder.items()}, tmp_path / 'wrapped.pth')
    save_file({f'backbone.{key}': value.contiguous() for key, value in encoder.items()}, tmp_path / 'file.safetensors')
    for name in ('wrapped.pth', 'file.safetensors'):
        start = dict(type='Pretrained', checkpoint=str(tmp_path / name), prefix='backbone')
        fresh = MODELS.build({**config.model.encdec.encoder, 'init_cfg': start})
        fresh.init_weights()
        assert all(torch.equal(value, encoder[key]) for key, value in fresh.state_dict().items())


class TestTools:
    def test_test_refuses_what_does_not_fit(self, model, tmp_path, call_tool):
        folder = model[2]
        arguments = ('--work-dir', tmp_path / 'work', '--out', tmp_path / 'figures.json', '--cfg-options')
        for name, option, what in (
            ('stage1', 'load_from_partial=True', 'It is a checkpoint of stage 1'),
            ('stage2', 'model.encdec.decoder.fusion.reduction=1', 'Keys of another shape: generator.decoder.'),
        ):
            done = call_tool('test', folder / 'stage2.py', folder / f'{name}.pth', *arguments, option)
            assert (done.returncode, what in done.stderr) == (2, True), done.stderr
            assert not (tmp_path / 'figures.json').exists()

    def test_test_takes_half_weights_of_a_generator_in_safetensors(self, model, tmp_path, call_tool):
        built, _, folder = model
        half = {key: value.half().contiguous() for key, value in generator_of(built.state_dict()).items()}
        save_file(half, tmp_path / 'half.safetensors')
        figures = []
        for path in (folder / 'stage2.pth', tmp_path / 'half.safetensors'):
            out = ('--work-dir', tmp_path / 'work', '--out', tmp_path / 'figures.json')
            done = call_tool('test', folder / 'stage2.py', path, *out)
            assert not done.returncode, done.stderr
            figures.append(json.loads((tmp_path / 'figures.json').read_text())['HolePSNR'])
        assert figures[0] == pytest.approx(figures[1], abs=0.01)

    def test_training_refuses_what_does_not_fit(self, model, tmp_path, call_tool):
        config, folder = model[1].copy(), model[2]
        config.update(work_dir=str(tmp_path / 'work'), load_from=str(folder / 'optimisers.pth'))
        config.dump(tmp_path / 'stage2.py')
        done = call_tool('train', tmp_path / 'stage2.py')
        assert (done.returncode, 'the state of an optimiser' in done.stderr) == (2, True), done.stderr


def test_training_begins_with_part_of_a_checkpoint_only_where_the_config_says_so(model):
    built, _, _ = model
    hook = HOOKS.build(dict(type='StrictLoadHook'))
    for partial, resume in ((False, False), (False, True), (True, True), (True, False)):
        runner = SimpleNamespace(
            model=built, _resume=resume, _load_from='part.pth', cfg=Config(dict(load_from_partial=partial))
        )
        state = built.state_dict()
        del state['generator.encoder.stages.0.conv.weight']
        if partial and not resume:
            checkpoint = {f'module.{key}': value for key, value in state.items()}
            hook.after_load_checkpoint(runner, checkpoint)
            assert checkpoint['state_dict'].keys() == state.keys()
        else:
            with pytest.raises(WeightsError, match=r'part\.pth.* missing: generator\.encoder\.stages\.0\.conv\.weight'):
                hook.after_load_checkpoint(runner, dict(state_dict=state))

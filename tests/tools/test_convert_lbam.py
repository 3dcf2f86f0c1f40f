"""From LBAM's published names to ours: nothing lost, nothing made up, and the same images."""

import re
import sys

import pytest
import torch
from conftest import ROOT, load_tool
from lbam_reference import lbam, published_shapes, random_weights
from mmagic.registry import MODELS
from mmengine.config import Config
from torch import nn

from cainet_mm.apis import load_model
from cainet_mm.deploy.conversion import rename_strictly, write_checkpoint
from cainet_mm.utils.checkpoint_io import read_weights

PUBLISHED_WIDTHS = (64, 128, 256, 512, 512, 512, 512)
THIN = ROOT / 'configs/baselines/smoke/lbam.py'
THIN_WIDTHS = tuple(Config.fromfile(THIN).model.encdec.generator.widths)


@pytest.fixture
def tool(monkeypatch):
    return load_tool('convert_lbam', monkeypatch)


@pytest.fixture
def convert(tool, monkeypatch):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', ['convert_lbam.py', *map(str, arguments)])
        tool.main()

    return run


@pytest.fixture
def refusal(convert, capsys):
    def run(*arguments):
        with pytest.raises(SystemExit) as stopped:
            convert(*arguments)
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    return run


@pytest.fixture
def published(tmp_path):
    """A thin checkpoint under the published names, and its path."""
    weights = {name: value.float() for name, value in random_weights(THIN_WIDTHS).items()}
    torch.save(weights, tmp_path / 'public.pth')
    return weights, tmp_path / 'public.pth'


def test_the_default_model_has_the_published_names_and_shapes(tool):
    with torch.device('meta'):
        generator = MODELS.build(Config.fromfile(tool.CONFIG).model.encdec).generator
    names, ours = tool.public_names(7), generator.state_dict()
    assert {name: tuple(ours[new].shape) for name, new in names.items()} == published_shapes(PUBLISHED_WIDTHS)
    assert len(names) == len(ours)


def test_public_weights_give_the_images_of_the_public_network(convert, published, tmp_path):
    weights, path = published
    convert(path, tmp_path / 'new/ours.pth', '--config', THIN)
    model = load_model(THIN, tmp_path / 'new/ours.pth')
    image, known = torch.rand(2, 3, 32, 48), (torch.rand(2, 1, 32, 48) > 0.3).float()
    with torch.no_grad():
        (ours,) = model.generator(torch.cat((image * 2 - 1, 1 - known), 1))
    theirs = lbam(
        {name: value.double() for name, value in weights.items()}, (image * known).double(), known.double(), 4
    )
    torch.testing.assert_close((ours + 1) / 2, theirs.float(), rtol=0, atol=1e-5)
    assert theirs.std() > 1e-2


def test_round_trip_is_bit_for_bit(tool, convert, tmp_path):
    torch.manual_seed(0)
    model = MODELS.build(Config.fromfile(THIN).model)
    model.init_weights()
    prefix = 'generator.generator.'
    state = model.state_dict()
    public = {name: state[prefix + ours] for name, ours in tool.public_names(len(THIN_WIDTHS)).items()}
    assert len(public) == sum(key.startswith('generator.') for key in state)
    torch.save(public, tmp_path / 'public.pth')
    convert(tmp_path / 'public.pth', tmp_path / 'ours.pth', '--config', THIN)
    written = torch.load(tmp_path / 'ours.pth', weights_only=True)
    assert written['meta'].keys() == {'converted_from', 'config_json'}
    assert written['meta']['converted_from'] == 'public.pth'
    assert list(written['state_dict']) == [key for key in state if key.startswith('generator.')]
    assert all(torch.equal(value, state[key]) for key, value in written['state_dict'].items())
    inputs = torch.rand(1, 4, 40, 24)
    with torch.no_grad():
        again = load_model(THIN, tmp_path / 'ours.pth').generator(inputs)[0]
        assert torch.equal(again, model.eval().generator(inputs)[0])
        # the file holds its config
        assert torch.equal(again, load_model(None, tmp_path / 'ours.pth').generator(inputs)[0])


@pytest.mark.parametrize('wrap', (lambda w: dict(state_dict=w, epoch=3), lambda w: {f'module.{k}': w[k] for k in w}))
def test_what_a_checkpoint_may_be_wrapped_in(convert, published, tmp_path, wrap):
    weights, path = published
    convert(path, tmp_path / 'plain.pth', '--config', THIN)
    torch.save(wrap(weights), tmp_path / 'wrapped.pth')
    convert(tmp_path / 'wrapped.pth', tmp_path / 'ours.pth', '--config', THIN)
    plain, ours = (torch.load(tmp_path / f'{name}.pth', weights_only=True)['state_dict'] for name in ('plain', 'ours'))
    assert plain.keys() == ours.keys() and all(torch.equal(plain[key], ours[key]) for key in plain)


def test_every_weight_is_accounted_for(refusal, published, tmp_path):
    weights, path = published
    del weights['ec2.conv.activationFuncG_A.mu'], weights['dc4.weight']
    weights['bn.weight'] = torch.zeros(3)
    weights['dc1.conv.weight'] = weights['dc1.conv.weight'][:, 1:]
    torch.save(weights, path)
    line = refusal(path, tmp_path / 'ours.pth', '--config', THIN)
    assert line == (
        f'convert_lbam.py: error: {path} does not fit the LBAMGenerator. '
        'Keys missing: dc4.weight, ec2.conv.activationFuncG_A.mu; keys left over: bn.weight; '
        'keys of another shape: dc1.conv.weight (checkpoint (48, 31, 4, 4), module (48, 32, 4, 4)).'
    )
    assert not (tmp_path / 'ours.pth').exists()


def test_a_network_of_other_depth_is_named_with_its_first_keys(refusal, published, tmp_path):
    line = refusal(published[1], tmp_path / 'ours.pth')
    assert re.search(r'missing: (\S+, ){5}\S+ and 31 more; keys left over: dc4\.weight; keys of another shape: ', line)


def test_the_models_of_papers_load_without_the_weights_of_a_perceptual_network(tool, tmp_path):
    config = Config.fromfile(tool.CONFIG)
    assert config.model.losses.texture_output.loss.vgg == 'torchvision://vgg16'
    config.model.encdec.generator.widths = THIN_WIDTHS
    config.model.losses.texture_output.loss.vgg = str(tmp_path / 'absent.pth')
    assert load_model(config).generator.num_scales == 1


def test_an_existing_file_is_kept_unless_forced(convert, refusal, published, tmp_path):
    out = tmp_path / 'ours.pth'
    out.write_bytes(b'mine')
    assert '--force' in refusal(published[1], out, '--config', THIN)
    assert out.read_bytes() == b'mine'
    convert(published[1], out, '--config', THIN, '--force')
    assert load_model(THIN, out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['ours.pth', 'public.pth'], (
        'nothing half-written is left'
    )


def test_other_configs_and_files_are_refused(refusal, published, tmp_path):
    out = tmp_path / 'ours.pth'
    telea = ROOT / 'configs/baselines/telea.py'
    assert 'cannot be read' in refusal(published[1], out, '--config', ROOT / 'README.md')
    assert 'is not one of LBAM' in refusal(published[1], out, '--config', telea)
    assert 'absent.pth is not a file' in refusal(tmp_path / 'absent.pth', out)


class TestReading:
    @pytest.mark.parametrize('content', ([1, 2], {}, dict(state_dict={}), dict(a=torch.zeros(1), epoch=3)))
    def test_what_holds_no_weights(self, tmp_path, content):
        torch.save(content, tmp_path / 'odd.pth')
        with pytest.raises(ValueError, match='odd.pth.* holds no weights'):
            read_weights(tmp_path / 'odd.pth')

    def test_what_would_run_code(self, tmp_path):
        torch.save(nn.Linear(1, 1), tmp_path / 'module.pth')
        with pytest.raises(ValueError, match='module.pth.* cannot be read as a checkpoint.*asks for .*Linear'):
            read_weights(tmp_path / 'module.pth')

    @pytest.mark.parametrize('content', (b'', b'not a checkpoint', b'PK\x03\x04 cut off'))
    def test_what_is_no_checkpoint(self, tmp_path, content):
        (tmp_path / 'odd.pth').write_bytes(content)
        with pytest.raises(ValueError, match='cannot be read as a checkpoint'):
            read_weights(tmp_path / 'odd.pth')

    def test_a_checkpoint_cut_short(self, tmp_path):
        torch.save(dict(a=torch.zeros(1000)), tmp_path / 'whole.pth')
        (tmp_path / 'cut.pth').write_bytes((tmp_path / 'whole.pth').read_bytes()[:2000])
        with pytest.raises(ValueError, match='cut.pth.* cannot be read'):
            read_weights(tmp_path / 'cut.pth')

    def test_a_layer_called_module_is_no_wrapper(self, tmp_path):
        torch.save({'module.a': torch.zeros(1), 'b': torch.zeros(1)}, tmp_path / 'mixed.pth')
        assert list(read_weights(tmp_path / 'mixed.pth')) == ['module.a', 'b']


class TestRenaming:
    NAMES = {f'bn.{name}': name for name in ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')}

    def test_old_checkpoints_have_no_counters(self):
        module = nn.BatchNorm2d(2)
        weights = {name: torch.rand(2) for name in self.NAMES if name != 'bn.num_batches_tracked'}
        renamed = rename_strictly(weights, self.NAMES, module, 'old.pth')
        module.load_state_dict(renamed)
        assert module.num_batches_tracked == 0
        assert torch.equal(module.running_var, weights['bn.running_var'])

    def test_a_mapping_that_leaves_the_module_s_weights_out_is_refused(self):
        names = {old: new for old, new in self.NAMES.items() if new != 'bias'}
        with pytest.raises(ValueError, match=r"does not fit the BatchNorm2d.*\['bias'\]"):
            rename_strictly({}, names, nn.BatchNorm2d(2), 'old.pth')
        with pytest.raises(ValueError, match='two old names for one new one'):
            rename_strictly({}, {**self.NAMES, 'again': 'bias'}, nn.BatchNorm2d(2), 'old.pth')


def test_nothing_is_left_where_writing_fails(tmp_path, monkeypatch):
    def fail(*args):
        raise OSError('disk full')

    monkeypatch.setattr('os.replace', fail)
    with pytest.raises(OSError, match='disk full'):
        write_checkpoint(dict(a=torch.zeros(1)), tmp_path / 'out.pth', {})
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_with_half_a_critic_is_still_refused(tmp_path):
    state = MODELS.build(Config.fromfile(THIN).model).state_dict()
    for dropped in ('disc.known.score.weight', 'generator.generator.to_image.weight'):
        write_checkpoint({key: state[key] for key in state if key != dropped}, tmp_path / 'part.pth', {}, force=True)
        with pytest.raises(ValueError, match=dropped):
            load_model(THIN, tmp_path / 'part.pth')

"""The one command that trains on a folder of photographs."""

import json
import re
import shutil
from functools import partial

import cv2
import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool

from cainet_mm import apis
from cainet_mm.models import ClassicalInpaintor


@pytest.fixture
def tool(monkeypatch):
    return load_tool('train_photos', monkeypatch)


@pytest.fixture
def photos(tmp_path):
    """Twelve smooth photographs of 128 pixels, half of them in a folder."""
    random = np.random.default_rng(0)
    for number in range(12):
        path = tmp_path / 'photos' / ('garden' if number % 2 else '') / f'{number:02}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = random.integers(0, 256, (5, 6, 3), np.uint8)
        cv2.imwrite(str(path), cv2.resize(coarse, (150, 128), interpolation=cv2.INTER_CUBIC))
    return tmp_path / 'photos'


@pytest.fixture
def small(monkeypatch):
    """Cuts the configs that the command reads down to seconds."""
    read = apis.read_config

    def read_small(path):
        config = read(path)
        if path.parent != ROOT / 'configs/photos':
            return config
        thin = dict(widths=(4,) * 6, kernels=(3,) * 6)
        if 'backbone' in config.model:
            config.model.backbone.update(thin)
            config.model.neck.update(in_channels=4, out_channels=8)
            config.model.update(feat_dim=8, queue_len=8)
        else:
            config.model.encdec.encoder.update(thin)
            config.model.encdec.decoder.out_channels = (4,) * 6
            config.model.encdec.decoder.fusion.hidden_channels = 4
            if config.model.disc is not None:
                config.model.disc.widths = (4, 4)
        config.train_dataloader.batch_size = 2
        config.train_cfg.update(max_iters=2, val_interval=2)
        config.default_hooks.checkpoint.interval = config.default_hooks.logger.interval = 1
        return config

    monkeypatch.setattr(apis, 'read_config', read_small)


def test_photographs_held_out_are_those_of_the_rule_and_the_same_in_every_run(tool, photos, tmp_path):
    lists = tool.split_photos(photos, None, tmp_path / 'out')
    assert lists == tool.split_photos(photos, None, tmp_path / 'out')
    assert len(lists['test']) == 1
    assert sorted(lists['train'] + lists['test']) == sorted(
        path.relative_to(photos).as_posix() for path in photos.rglob('*.png')
    )


def test_what_is_held_out_is_not_trained_on_whatever_it_is_called(tool, photos, tmp_path):
    everything = {path.relative_to(photos).as_posix() for path in photos.rglob('*.png')}
    garden = {name for name in everything if name.startswith('garden/')}
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.symlink_to(photos / 'garden')
    names = tmp_path / 'names.txt'
    names.write_text(''.join(f'{name}\n' for name in sorted(garden)) + '\n')
    for held_out, root, test in (
        (photos / 'garden', photos, garden),
        (names, photos, garden),
        # names that do not depend on where the folder lies, as masks are drawn by them
        (elsewhere, elsewhere, {name.removeprefix('garden/') for name in garden}),
    ):
        lists = tool.split_photos(photos, held_out, tmp_path / 'out')
        assert tool.folder_of_held_out(photos, held_out) == root
        assert (set(lists['test']), set(lists['train'])) == (test, everything - garden)


def test_minutes_become_iterations_at_whose_end_the_schedule_ends(tool, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(tool, 'time_iteration', lambda config: 0.25)
    monkeypatch.setattr(tool, 'classical_psnr', lambda config: {})
    args = tool.parse(tool.make_tool(), [str(photos), str(tmp_path / 'out'), '--minutes', '9.5', '--size', '128'])
    iterations = {}
    for name in tool.stages_of(128):
        config = tool.make_config(args, name, None)
        iterations[name] = config.train_cfg.max_iters
        assert config.param_scheduler[-1].end == config.train_cfg.max_iters
        assert 0 < config.param_scheduler[0].end < config.train_cfg.max_iters / 5
        momentum = [hook['momentum'] for hook in config.custom_hooks if hook['type'] == 'EMAHook']
        assert momentum == ([] if name == 'stage1_64' else [pytest.approx(10 / config.train_cfg.max_iters)])
    # 5, 50 and 40 of 95 parts of 9.5 minutes, four iterations a second
    assert iterations == dict(stage1_64=120, stage2_64=1200, stage2_128=960)
    assert config.train_cfg.val_interval == 192


def test_what_cannot_work_is_refused_in_a_sentence(tool, photos, tmp_path, capsys):
    empty, few, tiny = tmp_path / 'empty', tmp_path / 'few', tmp_path / 'tiny'
    empty.mkdir()
    shutil.copytree(photos / 'garden', few)
    for path in photos.rglob('*.png'):
        tiny.mkdir(exist_ok=True)
        cv2.imwrite(str(tiny / path.name), np.zeros((100, 200, 3), np.uint8))
    (tmp_path / 'file').touch()
    (tmp_path / 'e/lists').mkdir(parents=True)
    (tmp_path / 'e/lists/train.txt').write_text('mine.png\n')
    names = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob('*.png'))]
    for folder in ('own', 'twice'):
        (tmp_path / folder / 'lists').mkdir(parents=True)
        (tmp_path / folder / 'lists/train.txt').write_text(''.join(f'{name}\n' for name in names[2:]))
        (tmp_path / folder / 'lists/test.txt').write_text(f'{names[0]}\n./{names[2 if folder == "twice" else 1]}\n')
    (tmp_path / 'b').mkdir()
    (tmp_path / 'b/arguments.json').write_text('{"photos": "elsewhere", "minutes": 3.0}')
    (tmp_path / 'latin.txt').write_bytes('caf\xe9.png\n'.encode('latin-1'))
    for arguments, sentence in (
        ((tmp_path / 'absent', tmp_path / 'a'), 'is no folder'),
        ((photos, tmp_path / 'file' / 'out'), 'cannot be written'),
        ((photos, tmp_path / 'a', '--held-out', tmp_path / 'absent'), 'give a text file of names, or a folder'),
        ((photos, tmp_path / 'a', '--held-out', tmp_path / 'latin.txt', '--size', 128), 'is no UTF-8'),
        ((photos, tmp_path / 'f', '--held-out', tmp_path / 'file', '--size', 128), 'its list is empty'),
        ((photos, tmp_path / 'e', '--size', 128), 'train.txt is there alone'),
        ((photos, tmp_path / 'a', '--minutes', 0), '--minutes takes a number above 0'),
        ((empty, tmp_path / 'g'), 'has no images'),
        ((photos, tmp_path / 'h', '--cfg-options', 'foo'), '--cfg-options takes pairs KEY=VALUE'),
        (
            (photos, tmp_path / 'h', '--cfg-options', 'train_cfg.max_iters.x=4'),
            'does not fit stage1_64.py',
        ),
        ((photos, tmp_path / 'twice', '--size', 128), f'{names[2]} is in both lists of'),
        ((photos, tmp_path / 'own', '--size', 128, '--held-out', photos / 'garden'), 'leave out --held-out, or remove'),
        ((few, tmp_path / 'c', '--size', 128), 'has 5 photographs of 128 pixels or more to train on'),
        ((tiny, tmp_path / 'd', '--size', 128), 'is 100x200 pixels, smaller than 128'),
        ((photos, tmp_path / 'b', '--minutes', 3), 'holds a training with other arguments (photos'),
    ):
        with pytest.raises(SystemExit) as stopped:
            tool.main([str(argument) for argument in arguments])
        said = capsys.readouterr().err
        assert stopped.value.code == 2
        assert sentence in said
        assert ': error: ' in said.splitlines()[-1] and 'Traceback' not in said
    assert [path.parent.name for path in tmp_path.glob('*/arguments.json')] == ['b'], 'what is refused claims no folder'


def test_lists_of_ones_own_are_taken_as_they_are(tool, photos, tmp_path):
    names = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob('*.png'))]
    (tmp_path / 'out/lists').mkdir(parents=True)
    (tmp_path / 'out/lists/train.txt').write_text(''.join(f'{name}\n' for name in [*names[2:], names[2]]))
    (tmp_path / 'out/lists/test.txt').write_text(f'{names[0]}\n{names[1]}\n')
    args = tool.parse(tool.make_tool(), [str(photos), str(tmp_path / 'out'), '--size', '128'])
    assert tool.prepare_lists(tool.make_tool(), args) == dict(train=11, test=2)


def test_lists_of_too_few_photographs_do_not_stand_in_the_way_of_more(tool, photos, tmp_path):
    (tmp_path / 'names.txt').write_text('00.png\n')
    given = [str(photos), str(tmp_path / 'out'), '--size', '128', '--held-out', str(tmp_path / 'names.txt')]
    args = tool.parse(tool.make_tool(), given)
    number = sum(1 for _ in photos.rglob('*.png'))
    small = [path for path in photos.rglob('*.png') if path.stem not in ('00', '01', '02')]
    kept = {path: path.read_bytes() for path in small}
    for path in small:
        cv2.imwrite(str(path), np.zeros((100, 200, 3), np.uint8))
    with pytest.raises(SystemExit):
        tool.prepare_lists(tool.make_tool(), args)
    for path, content in kept.items():
        path.write_bytes(content)
    assert sum(tool.prepare_lists(tool.make_tool(), args).values()) == number


@pytest.mark.slow
def test_it_trains_every_stage_goes_on_where_it_was_stopped_and_publishes(
    tool, photos, small, tmp_path, capsys, monkeypatch
):
    out = tmp_path / 'out'
    arguments = [str(photos), str(out), '--size', '128', '--held-out', str(photos / 'garden')]
    arguments += ['--cfg-options', 'train_dataloader.num_workers=0']
    # six photographs are few
    tool.FEWEST = 6
    tool.main(arguments)
    capsys.readouterr()

    configs = {name: apis.read_config(out / f'{name}.py') for name in tool.stages_of(128)}
    start = configs['stage2_64'].model.encdec.encoder.init_cfg.checkpoint
    assert (start, configs['stage2_128'].load_from) == tuple(
        str(out / name / 'iter_2.pth') for name in ('stage1_64', 'stage2_64')
    )
    # a method that learns nothing has the figure that the run would give it
    (beside,) = [hook.beside for hook in configs['stage2_128'].custom_hooks if hook.type == 'HolePSNRHook']
    telea = ClassicalInpaintor('telea', configs['stage2_128'].model.data_preprocessor)
    errors = []
    for batch in apis.loader_from_config(configs['stage2_128']):
        for sample in telea.test_step(batch):
            hole = sample.mask[0] > 0
            error = (sample.output.pred_img - sample.gt_img)[:, hole].double().square().mean()
            errors.append(10 * torch.log10(255**2 / error).item())
    assert beside['Telea'] == pytest.approx(np.mean(errors), abs=0.006)
    for stage in ('stage2_64', 'stage2_128'):
        (log,) = (out / stage).glob('*/*.log')
        (line,) = re.findall(r'hole PSNR .*', log.read_text())
        assert re.match(r'hole PSNR \d+\.\d\d dB \(', line)
        assert all(f'{name} {value:.2f}' in line for name, value in beside.items()) == (stage == 'stage2_128')

    (published,) = out.glob('cainet-photos-*.safetensors')
    assert apis.load_model(None, published).generator.decoder.progressive

    # as if it had been killed between the two checkpoints of the last stage
    last = out / 'stage2_128/iter_2.pth'
    expected = torch.load(last, map_location='cpu', weights_only=False)['state_dict']
    last.unlink()
    (out / 'stage2_128/last_checkpoint').write_text(str(out / 'stage2_128/iter_1.pth'))
    tool.main(arguments)
    said = capsys.readouterr().out
    assert 'stage1_64 is trained already' in said and 'stage2_64 is trained already' in said
    assert 'stage2_128 is trained already' not in said
    weights = torch.load(last, map_location='cpu', weights_only=False)['state_dict']
    assert all(torch.equal(weights[key], value) for key, value in expected.items())
    assert list(out.glob('cainet-photos-*.safetensors')) == [published]
    assert re.search(r'hole PSNR \d+\.\d\d dB \(.*Telea .*\) on 6 photographs at 128 pixels', said)

    before = set(out.rglob('*'))
    monkeypatch.setattr(tool, 'make_trial', partial(tool.make_trial, iterations=4))
    assert 0 < tool.time_iteration(configs['stage2_128']) < 10
    assert set(out.rglob('*')) == before
    with pytest.raises(SystemExit):
        tool.main([*arguments, '--minutes', '5'])
    assert 'other arguments (minutes None, now 5.0)' in capsys.readouterr().err
    assert json.loads((out / 'arguments.json').read_text())['size'] == 128

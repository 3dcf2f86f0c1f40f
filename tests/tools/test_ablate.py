"""Studies: methods trained at an equal budget, resumably, and compared."""

import csv
import json
import subprocess
from types import SimpleNamespace

import numpy as np
import pytest
import warm
from conftest import ROOT, load_tool, tiny
from mmengine.config import Config, ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

STUDIES = sorted((ROOT / 'configs/studies').glob('*.py'))


@pytest.fixture
def ablate(monkeypatch):
    return load_tool('ablate', monkeypatch)


@pytest.fixture
def args(tmp_path):
    return SimpleNamespace(out_dir=tmp_path / 'out', seed=3, gpus=1, images=None, minutes=None, amp='')


@pytest.mark.parametrize('path', STUDIES, ids=lambda path: path.stem)
def test_every_study_names_configs_and_keys_that_exist(path, ablate, args):
    study = ablate.read_study(ablate.make_tool(), path)
    assert 'test_dataloader' in Config.fromfile(study.data)
    lengths = set()
    for name, method in study.methods.items():
        training = ablate.Training(args, name, method, budgeted=True)
        if training.trains:
            lengths.add((training.config.train_cfg.max_iters, training.batch))
        if 'encoder' in method:
            encoder = ablate.Training(args, 'encoder', method.encoder, budgeted=False)
            place = training.config
            for key in method.encoder.into.split('.'):
                place = place[key]
            # the config's own path is that of the encoder's last checkpoint, wherever it is trained
            assert place.endswith(f'iter_{encoder.config.train_cfg.max_iters}.pth')
    if 'smoke' not in path.stem:
        assert len(lengths) == 1, 'at paper size all methods have the same length and batch'


def test_equal_images_are_equal_whatever_the_batch_and_schedules_keep_their_shape(ablate, args):
    args.images, args.gpus = 4800, 2
    entry = ConfigDict(config=str(ROOT / 'configs/quickstart/stage2.py'))
    training = ablate.Training(args, 'a', entry, budgeted=True)
    assert (training.batch, training.config.train_cfg.max_iters, training.config.train_cfg.val_interval) == (
        16,
        300,
        300,
    )
    begins_and_ends = [(part.get('begin', 0), part.end) for part in training.config.param_scheduler]
    assert begins_and_ends == [(0, 2), (2, 300)]
    assert training.config.randomness.seed == 3
    args.images = 17
    short = ablate.Training(args, 'a', entry, budgeted=True)
    assert short.config.train_cfg.max_iters == 2
    assert all(part.end > part.get('begin', 0) for part in short.config.param_scheduler)


def test_equal_minutes_set_the_length_and_the_schedules_once_and_not_those_of_the_encoder(ablate, args, monkeypatch):
    args.minutes = 1.5
    entry = ConfigDict(config=str(ROOT / 'configs/quickstart/stage2.py'))
    trained = []

    def train(args, folder):
        config = Config.fromfile(folder / 'config.py')
        trained.append((folder.name, config.train_cfg.max_iters))
        (folder / 'last_checkpoint').write_text('iter.pth')
        # the first iterations are slow
        times = np.array([9.0] * 10 + [0.25] * 10)
        hub = dict(runtime_info=dict(trained_seconds=88.0), log_scalars={'train/time': HistoryBuffer(times, times > 0)})
        return dict(meta=dict(iter=config.train_cfg.max_iters), message_hub=hub)

    monkeypatch.setattr(ablate, 'train', train)
    assert ablate.Training(args, 'a', entry, budgeted=True).run(args)['iterations'] == 360
    config = Config.fromfile(args.out_dir / 'runs/a/config.py')
    assert [part.end for part in config.param_scheduler][-1] == config.train_cfg.val_interval == 360
    assert not (args.out_dir / 'runs/a/trial').exists()
    # as if it had been killed
    (args.out_dir / 'runs/a/finished.json').unlink()
    again = ablate.Training(args, 'a', entry, budgeted=True)
    again.refuse_other_settings(ablate.make_tool())
    assert again.run(args)['iterations'] == 360
    length = Config.fromfile(entry.config).train_cfg.max_iters
    assert ablate.Training(args, 'b', entry, budgeted=False).run(args)['iterations'] == length
    assert trained == [('trial', 20), ('a', 360), ('a', 360), ('b', length)]
    other = ablate.Training(SimpleNamespace(**vars(args) | dict(minutes=2.0)), 'a', entry, budgeted=True)
    assert other.settings != again.settings


@pytest.mark.parametrize(
    ('study', 'sentence'),
    [
        (dict(data='x.py'), 'needs data, a config, and methods'),
        (dict(data='x.py', methods=dict(a=dict(checkpoint='y'))), 'method a takes config, encoder, options'),
        (dict(data='x.py', methods={'a/b': dict(config='y')}), 'without a slash'),
        (dict(data='x.py', methods=dict(a=dict(config='y')), reference='b'), 'reference b, which is none'),
        (dict(data='x.py', methods=dict(a=dict(config='y', encoder=dict(config='z', at='w')))), 'encoder of a takes'),
    ],
)
def test_study_that_cannot_work_is_refused(study, sentence, ablate, tmp_path, capsys):
    Config(study).dump(tmp_path / 'study.py')
    with pytest.raises(SystemExit) as stopped:
        ablate.read_study(ablate.make_tool(), tmp_path / 'study.py')
    assert stopped.value.code == 2
    assert sentence in capsys.readouterr().err


@pytest.mark.parametrize(
    'last',
    [
        dict(config='absent.py'),
        dict(config='good.py', options={'train_cfg.max_iters.x': 4}),
        dict(config='cainet-phots'),
        dict(config='cainet-photos', options={'model.critic_scales': (1,)}),
        dict(config='good.py', encoder=dict(config='other/good.py', into='load_from')),
    ],
)
def test_config_that_cannot_be_read_is_refused_before_anything_is_trained(last, ablate, args, tmp_path, capsys):
    tiny('stage2', tmp_path).dump(tmp_path / 'good.py')
    (tmp_path / 'other').mkdir()
    tiny('stage2', tmp_path, iters=3).dump(tmp_path / 'other/good.py')
    first = dict(config='good.py', encoder=dict(config='good.py', into='load_from'))
    Config(dict(data='good.py', methods=dict(first=first, last=last))).dump(tmp_path / 'study.py')
    args.study = tmp_path / 'study.py'
    tool = ablate.make_tool()
    with pytest.raises(SystemExit):
        ablate.check_trainings(tool, args, ablate.read_study(tool, args.study))
    assert f'last of study {args.study} has a config or options that cannot be used' in capsys.readouterr().err
    assert not args.out_dir.exists()


@pytest.mark.parametrize('budget', ['images', 'minutes'])
@pytest.mark.parametrize(
    ('train_cfg', 'hooks', 'what'),
    [
        (dict(by_epoch=True, max_epochs=2), dict(checkpoint=dict(type='CheckpointHook')), 'it trains by epochs'),
        (dict(type='IterBasedTrainLoop', max_iters=2), None, 'it saves no checkpoints'),
    ],
)
def test_a_budget_for_what_has_no_length_in_iterations_is_refused(
    ablate, args, tmp_path, capsys, budget, train_cfg, hooks, what
):
    config = dict(train_dataloader=dict(batch_size=2), train_cfg=train_cfg, default_hooks=hooks)
    Config(config).dump(tmp_path / 'good.py')
    Config(dict(data='good.py', methods=dict(a=dict(config='good.py')))).dump(tmp_path / 'study.py')
    args.study = tmp_path / 'study.py'
    setattr(args, budget, 4)
    tool = ablate.make_tool()
    with pytest.raises(SystemExit):
        ablate.check_trainings(tool, args, ablate.read_study(tool, args.study))
    assert what in capsys.readouterr().err


def test_data_that_cannot_be_read_are_refused_before_anything_is_trained(ablate, args, tmp_path, capsys):
    Config(dict(data='absent.py', methods=dict(ours=dict(config='cainet-photos')))).dump(tmp_path / 'study.py')
    args.study = tmp_path / 'study.py'
    tool = ablate.make_tool()
    with pytest.raises(SystemExit):
        ablate.check_trainings(tool, args, ablate.read_study(tool, args.study))
    assert f'data of study {args.study} cannot be used' in capsys.readouterr().err


def test_a_named_network_is_compared_and_not_trained(ablate, args, tmp_path, shipped):
    Config().dump(tmp_path / 'good.py')
    Config(dict(data='good.py', methods=dict(ours=dict(config='cainet-photos')))).dump(tmp_path / 'study.py')
    args.study = tmp_path / 'study.py'
    tool, study = ablate.make_tool(), ablate.read_study(ablate.make_tool(), args.study)
    ablate.check_trainings(tool, args, study)
    assert ablate.train_method(tool, args, 'ours', study.methods.ours) == ({}, None, None)
    assert study.methods.ours.config == 'cainet-photos'


def test_options_of_a_method_that_is_not_trained_count(ablate, args, tmp_path):
    method = dict(config=str(ROOT / 'configs/baselines/mean_colour.py'), options={'model.method': 'telea'})
    Config(dict(data='good.py', methods=dict(Telea=method))).dump(tmp_path / 'study.py')
    args.study = tmp_path / 'study.py'
    tool, study = ablate.make_tool(), ablate.read_study(ablate.make_tool(), args.study)
    assert ablate.train_method(tool, args, 'Telea', study.methods.Telea) == ({}, None, None)
    assert Config.fromfile(study.methods.Telea.config).model.method == 'telea'


@pytest.mark.parametrize('other', [dict(amp='--amp'), dict(gpus=2)])
def test_another_precision_or_number_of_gpus_is_another_run(other, ablate, args, tmp_path):
    tiny('stage2', tmp_path).dump(tmp_path / 'good.py')
    entry = ConfigDict(config=str(tmp_path / 'good.py'))
    settings = ablate.Training(args, 'a', entry, budgeted=True).settings
    vars(args).update(other)
    assert ablate.Training(args, 'a', entry, budgeted=True).settings != settings


def test_one_schedule_need_not_be_a_list(ablate, args, tmp_path):
    config = tiny('stage2', tmp_path)
    config.param_scheduler = dict(type='MultiStepLR', by_epoch=False, milestones=[60, 80])
    config.train_cfg.max_iters = 100
    config.dump(tmp_path / 'good.py')
    args.images = 40
    training = ablate.Training(args, 'a', ConfigDict(config=str(tmp_path / 'good.py')), budgeted=True)
    assert [part.milestones for part in training.config.param_scheduler] == [[6, 8]]


@pytest.mark.slow
def test_study_is_trained_resumed_and_compared(ablate, args, tmp_path, capfd):
    stage1, stage2 = tiny('stage1', tmp_path), tiny('stage2', tmp_path)
    stage2.model.encdec.encoder.init_cfg = dict(type='Pretrained', checkpoint='later', prefix='backbone.')
    stage1.dump(tmp_path / 'stage1.py')
    stage2.dump(tmp_path / 'stage2.py')
    encoder = dict(config='stage1.py', into='model.encdec.encoder.init_cfg.checkpoint')
    methods = {
        'Telea': dict(config=str(ROOT / 'configs/baselines/telea.py')),
        'ours': dict(config='stage2.py', encoder=encoder),
        'broken': dict(
            config='stage2.py', options={'model.encdec.encoder.init_cfg': None, 'model.critic_scales': (9,)}
        ),
    }
    Config(dict(data='stage2.py', methods=methods, reference='ours')).dump(tmp_path / 'study.py')

    def run(*options):
        command = [warm.python(), ROOT / 'tools/ablate.py', tmp_path / 'study.py', tmp_path / 'out', *options]
        return subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=400)

    done = run('--images', 8, '--', '--pictures', 1)
    assert done.returncode == 1, done.stderr[-3000:]
    runs = tmp_path / 'out/runs'
    record = json.loads((runs / 'ours/finished.json').read_text())
    assert (record['iterations'], record['batch'], record['images']) == (2, 4, 8) and record['minutes'] > 0
    table = (tmp_path / 'out/table.md').read_text()
    assert 'broken failed: its training failed' in table and 'Difference to ours' in table
    training = (tmp_path / 'out/training.md').read_text()
    assert '| ours   |          2 |     4 |      8 |                      8 |' in training
    with open(tmp_path / 'out/images.csv', newline='') as file:
        assert {row['method'] for row in csv.DictReader(file)} == {'Telea', 'ours'}

    # as if it had been killed between its two checkpoints
    for name in ('finished.json', 'iter_2.pth'):
        (runs / 'ours' / name).unlink()
    (runs / 'ours/last_checkpoint').write_text(str(runs / 'ours/iter_1.pth'))
    args.images = 8
    args.seed = 0
    tool, study = ablate.make_tool(), ablate.read_study(ablate.make_tool(), tmp_path / 'study.py')
    again, encoder_record, failure = ablate.train_method(tool, args, 'ours', study.methods.ours)
    assert failure is None and encoder_record['images'] == 8
    assert (again['iterations'], again['checkpoint']) == (2, str(runs / 'ours/iter_2.pth'))
    assert again['minutes'] > 0 and (runs / 'ours/iter_2.pth').is_file()

    args.images = 12
    with pytest.raises(SystemExit):
        ablate.train_method(tool, args, 'ours', study.methods.ours)
    assert 'holds a run with other settings' in capfd.readouterr().err


@pytest.mark.slow
def test_training_ends_after_its_time_with_a_checkpoint_and_counts_on_when_resumed(tmp_path):
    # the second one has had its time already
    for number, limit in enumerate((1e-6, 1e-6, 10.0)):
        config = tiny('stage2', tmp_path, iters=3)
        config.custom_hooks = [dict(type='TrainingTimeHook', limit_minutes=limit)]
        config.update(resume=number > 0, experiment_name=f'timed_{number}')
        runner = Runner.from_cfg(config)
        runner.train()
        assert runner.iter == (1 if number < 2 else 3)
        saved = CheckpointLoader.load_checkpoint(str(tmp_path / f'iter_{runner.iter}.pth'), map_location='cpu')
        noted = saved['message_hub']['runtime_info']
        if number == 0:
            seconds = noted['trained_seconds']
            assert 'HolePSNR' in str(runner.message_hub.log_scalars.keys())
    assert noted['trained_seconds'] > seconds > 0

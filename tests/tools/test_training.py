"""Both stages through MMEngine's Runner."""

import csv
import json
import os
import subprocess

import pytest
import torch
import warm
from conftest import ROOT, read_log, tiny, train, weights_of
from mmengine.config import Config
from mmengine.runner import Runner

from cainet_mm.apis import evaluate_method, load_model


@pytest.fixture(scope='module')
def stage1(tmp_path_factory):
    """A tiny stage 1, trained for three steps with a checkpoint after each."""
    from mmengine.registry import init_default_scope

    init_default_scope('mmagic')
    work_dir = tmp_path_factory.mktemp('stage1')
    train(tiny('stage1', work_dir, iters=3), 'stage1')
    return work_dir


def test_stage1_logs_the_loss_and_how_often_the_positive_ranks_first(stage1):
    steps = [entry for entry in read_log(stage1) if 'loss' in entry]
    assert len(steps) == 3
    assert all(entry['loss'] > 0 and 0 <= entry['positive_first'] <= 1 for entry in steps)


def test_stage1_weights_arrive_in_stage2_bit_for_bit(stage1, tmp_path):
    config = tiny('stage2', tmp_path)
    config.model.encdec.encoder.init_cfg = dict(
        type='Pretrained', checkpoint=str(stage1 / 'iter_3.pth'), prefix='backbone.'
    )
    runner = Runner.from_cfg(config)
    runner.model.init_weights()
    saved = {
        key.removeprefix('backbone.'): value
        for key, value in weights_of(stage1 / 'iter_3.pth').items()
        if key.startswith('backbone.')
    }
    arrived = runner.model.generator.encoder.state_dict()
    assert arrived.keys() == saved.keys()
    assert all(torch.equal(arrived[key], saved[key]) for key in saved)


def test_stage2_refuses_a_stage1_checkpoint_of_other_widths(stage1, tmp_path):
    config = tiny('stage2', tmp_path)
    config.model.encdec.encoder.update(
        widths=(8, 8, 8, 8, 8, 16),
        init_cfg=dict(type='Pretrained', checkpoint=str(stage1 / 'iter_3.pth'), prefix='backbone.'),
    )
    with pytest.raises(ValueError, match=r'does not fit the CAINetEncoder.*of another shape: stages\.5\.conv\.weight'):
        Runner.from_cfg(config).model.init_weights()


@pytest.mark.parametrize('stage', ['stage1', 'stage2'])
def test_resume_goes_on_from_the_last_checkpoint(stage, tmp_path):
    train(tiny(stage, tmp_path, iters=2), f'{stage}_interrupted')
    config = tiny(stage, tmp_path, iters=3)
    config.resume = True
    runner = train(config, f'{stage}_resumed')
    assert runner.iter == 3
    assert [entry['step'] for entry in read_log(tmp_path) if 'loss' in entry] == [3]
    before, after = weights_of(tmp_path / 'iter_2.pth'), weights_of(tmp_path / 'iter_3.pth')
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    if stage == 'stage1':
        # the queue of 16 keys went on from its third batch of four
        assert (before['queue_ptr'].item(), after['queue_ptr'].item()) == (8, 12)
        assert torch.equal(before['queue'][:, :8], after['queue'][:, :8])


def test_stage2_validates_and_a_checkpoint_gives_the_same_figures_again(tmp_path):
    train(tiny('stage2', tmp_path), 'stage2')
    logged = [entry for entry in read_log(tmp_path) if 'HolePSNR' in entry][-1]
    assert {'MAE', 'PSNR', 'SSIM', 'HolePSNR'} <= logged.keys()
    config = tiny('stage2', tmp_path)
    model = load_model(config, tmp_path / 'iter_2.pth')
    again = evaluate_method(
        model, Runner.build_dataloader(config.test_dataloader), config.test_evaluator, rounded=False
    ).metrics
    assert again == {name: pytest.approx(logged[name], abs=1e-4) for name in again}


def test_checkpoint_holds_no_perceptual_network(tmp_path):
    config = tiny('stage2', tmp_path, iters=1)
    config.model.losses.texture = dict(type='MultiScaleLoss', scales=(1,), loss=dict(type='TextureLoss', vgg=None))
    train(config, 'with_texture')
    keys = weights_of(tmp_path / 'iter_1.pth').keys()
    assert {key.split('.')[0] for key in keys} == {'generator', 'disc'}


def test_queue_that_the_batch_does_not_divide_stops_the_run_at_its_start(tmp_path):
    config = tiny('stage1', tmp_path)
    config.model.queue_len = 18
    with pytest.raises(ValueError, match='queue of 18 keys is not divided by the global batch of 4'):
        train(config, 'bad_queue')
    assert not list(tmp_path.glob('*.pth'))


def test_stage1_refuses_to_accumulate_gradients_at_its_start(tmp_path):
    config = tiny('stage1', tmp_path)
    config.optim_wrapper.accumulative_counts = 2
    with pytest.raises(ValueError, match=r"accumulative_counts of optim_wrapper is {'all': 2}: .* Set .*counts=1"):
        train(config, 'accumulated')
    assert not list(tmp_path.glob('*.pth'))


def test_load_model_refuses_a_checkpoint_of_another_model(stage1, tmp_path):
    with pytest.raises(ValueError, match='does not fit the CAINetInpaintor'):
        load_model(tiny('stage2', tmp_path), stage1 / 'iter_3.pth')
    with pytest.raises(FileNotFoundError, match='absent.pth'):
        load_model(tiny('stage2', tmp_path), tmp_path / 'absent.pth')
    with pytest.raises(FileNotFoundError, match='absent.py'):
        load_model(tmp_path / 'absent.py')


@pytest.mark.slow
def test_checkpoint_of_two_processes_is_that_of_a_model_in_one(tmp_path):
    tiny('stage2', tmp_path / 'work', iters=2).dump(tmp_path / 'tiny.py')
    command = ['bash', ROOT / 'tools/dist_train.sh', tmp_path / 'tiny.py', '2', '--work-dir', tmp_path / 'work']
    done = subprocess.run(
        [str(part) for part in command],
        env=os.environ | dict(PYTHON=warm.python(), PORT='29713', OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    loaded = load_model(tiny('stage2', tmp_path), tmp_path / 'work/iter_2.pth').state_dict()
    saved = weights_of(tmp_path / 'work/iter_2.pth')
    assert loaded.keys() == saved.keys()
    resumed = tiny('stage2', tmp_path / 'work', iters=3)
    resumed.resume = True
    before = {key: value.clone() for key, value in saved.items()}
    after = train(resumed, 'resumed_alone').model.state_dict()
    moved = [key for key in before if before[key].is_floating_point() and key.startswith('generator')]
    # a step changes the weights a little; weights that were not loaded would be others altogether
    assert max((after[key] - before[key]).abs().max() for key in moved) < 0.1


@pytest.mark.slow
def test_tools_train_resume_test_and_compare(tmp_path):
    """The command lines, one after the other, as a user types them."""

    def tool(name, *arguments):
        command = [warm.python(), str(ROOT / 'tools' / name), *map(str, arguments)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    config = tiny('stage2', tmp_path / 'work', iters=1)
    config.dump(tmp_path / 'tiny.py')
    first = tool('train.py', 'tiny.py', '--work-dir', 'work')
    assert first.returncode == 0, first.stderr
    more = tool('train.py', 'tiny.py', '--work-dir', 'work', '--resume', '--cfg-options', 'train_cfg.max_iters=2')
    assert more.returncode == 0, more.stderr
    assert (tmp_path / 'work/iter_2.pth').is_file()
    assert [entry['step'] for entry in read_log(tmp_path / 'work') if 'loss' in entry] == [2]

    tested = tool('test.py', 'tiny.py', 'work/iter_2.pth', '--work-dir', 'work', '--out', 'figures.json')
    assert tested.returncode == 0, tested.stderr
    figures = json.loads((tmp_path / 'figures.json').read_text())

    telea = Config.fromfile(ROOT / 'configs/baselines/telea.py')
    telea.dump(tmp_path / 'telea.py')
    compared = tool(
        'compare.py',
        'tiny.py',
        'report',
        '--masks',
        'configured',
        '--method',
        'telea',
        'telea.py',
        '--method',
        'ours',
        'tiny.py',
        'work/iter_2.pth',
    )
    assert compared.returncode == 0, compared.stderr
    with open(tmp_path / 'report/table.csv', newline='') as file:
        rows = [row for row in csv.DictReader(file) if row['holes'] == 'all' and row['image'] == 'composed']
    assert {row['method'] for row in rows} == {'telea', 'ours'}
    ours = {row['figure']: float(row['mean']) for row in rows if row['method'] == 'ours'}
    # the comparison rounds images to 8 bits, the test does not
    assert {name: ours[name] for name in figures} == pytest.approx(figures, abs=0.02)
    assert (tmp_path / 'report/montage.png').stat().st_size > 10_000

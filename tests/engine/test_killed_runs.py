"""Runs that are really killed."""

import contextlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
import warm
from conftest import tiny
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

HERE = Path(__file__).resolve().parent
LAST = 12


def differences(one, other, where=''):
    """The places at which two nested structures of tensors and numbers are not the same, bit for bit."""
    if isinstance(one, Mapping):
        assert one.keys() == other.keys(), where
        return [place for key in one for place in differences(one[key], other[key], f'{where}/{key}')]
    if isinstance(one, list | tuple):
        assert len(one) == len(other), where
        return [
            place
            for number, pair in enumerate(zip(one, other, strict=True))
            for place in differences(*pair, f'{where}/{number}')
        ]
    same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
    return [] if same else [where]


def train_and_kill(folder, scenario, kills, signal):
    """Run the script; what it says of the kills, and the last checkpoints of both runs."""
    subprocess.run(
        [warm.python(), str(HERE / 'killed_runs.py'), str(folder), scenario, '7', str(kills), signal],
        env=os.environ | dict(OMP_NUM_THREADS='1'),
        check=True,
        timeout=280,
    )
    checkpoints = (
        CheckpointLoader.load_checkpoint(str(folder / run / f'iter_{LAST}.pth'), map_location='cpu')
        for run in ('whole', 'killed')
    )
    return json.loads((folder / 'kills.json').read_text()), *checkpoints


def check_same(whole, killed):
    assert whole['step_state']['counts']
    for part in ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers', 'step_state'):
        assert not differences(whole[part], killed[part], part)


@pytest.mark.slow
@pytest.mark.parametrize('scenario, kills', [('stage1', 5), ('stage2', 5), ('epochs', 4), ('pair', 2)])
def test_a_run_that_is_killed_anywhere_ends_with_the_weights_of_one_that_is_not(scenario, kills, tmp_path):
    done, whole, killed = train_and_kill(tmp_path, scenario, kills, 'SIGKILL')
    assert [kill['code'] for kill in done] == [-9] * kills
    check_same(whole, killed)
    # nothing half-written, and no more checkpoints than asked for
    assert not list((tmp_path / 'killed').glob('.*'))
    assert len(list((tmp_path / 'killed').glob('*.pth'))) <= 3


@pytest.mark.slow
def test_a_run_that_is_told_to_go_saves_its_iteration_and_exits_with_the_code_for_requeuing(tmp_path):
    done, whole, killed = train_and_kill(tmp_path, 'preempted', 2, 'SIGTERM')
    assert [kill['code'] for kill in done] == [75] * 2
    # the iteration that was going on, or, where the signal came between two, the next one
    assert all(0 <= kill['newest'] - kill['begun'] <= 1 for kill in done)
    check_same(whole, killed)


class StopAt(Hook):
    """Ends a run in the validation after an iteration, as a kill would, and counts validations that end."""

    def __init__(self, iteration):
        self.iteration = iteration
        self.validated = []

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.iteration:
            raise KeyboardInterrupt

    def after_val_epoch(self, runner, metrics=None):
        self.validated.append(runner.iter)


def train_until(work_dir, stop, **options):
    config = tiny('stage2', work_dir, iters=4)
    config.train_cfg.val_interval = 2
    config.default_hooks.checkpoint.update(interval=2, save_best='HolePSNR', rule='greater')
    config.update(options, experiment_name=f'{work_dir.name}_{stop}_{len(options)}')
    runner = Runner.from_cfg(config)
    hook = StopAt(stop)
    runner.register_hook(hook)
    with contextlib.suppress(KeyboardInterrupt):
        runner.train()
    return hook.validated


def test_a_run_that_is_killed_while_it_validates_validates_that_checkpoint_when_it_goes_on(tmp_path):
    assert train_until(tmp_path / 'whole', None) == [2, 4]
    best = [path.name for path in (tmp_path / 'whole').glob('best_*')]
    assert train_until(tmp_path / 'killed', 2) == []
    assert train_until(tmp_path / 'killed', 4, resume=True) == [2]
    assert train_until(tmp_path / 'killed', None, resume=True) == [4]
    assert [path.name for path in (tmp_path / 'killed').glob('best_*')] == best
    # and none twice
    assert train_until(tmp_path / 'killed', 0, resume=True) == []


def test_what_another_run_in_the_folder_validated_does_not_count(tmp_path):
    assert train_until(tmp_path, 4) == [2]
    assert train_until(tmp_path, 2, other=True) == []
    assert train_until(tmp_path, None, resume=True) == [2, 4]

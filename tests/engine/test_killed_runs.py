"""Runs that are really killed."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from mmengine.runner.checkpoint import CheckpointLoader

HERE = Path(__file__).resolve().parent
LAST = 18


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
        [sys.executable, str(HERE / 'killed_runs.py'), str(folder), scenario, '7', str(kills), signal],
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
@pytest.mark.parametrize('scenario, kills', [('stage1', 8), ('stage2', 8), ('epochs', 6), ('pair', 4)])
def test_a_run_that_is_killed_anywhere_ends_with_the_weights_of_one_that_is_not(scenario, kills, tmp_path):
    done, whole, killed = train_and_kill(tmp_path, scenario, kills, 'SIGKILL')
    assert [kill['code'] for kill in done] == [-9] * kills
    check_same(whole, killed)
    # nothing half-written, and no more checkpoints than asked for
    assert not list((tmp_path / 'killed').glob('.*'))
    assert len(list((tmp_path / 'killed').glob('*.pth'))) <= 3


@pytest.mark.slow
def test_a_run_that_is_told_to_go_saves_its_iteration_and_exits_with_the_code_for_requeuing(tmp_path):
    done, whole, killed = train_and_kill(tmp_path, 'preempted', 3, 'SIGTERM')
    assert [kill['code'] for kill in done] == [75] * 3
    # the iteration that was going on, or, where the signal came between two, the next one
    assert all(0 <= kill['newest'] - kill['begun'] <= 1 for kill in done)
    check_same(whole, killed)

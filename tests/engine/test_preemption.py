"""Runs that are preempted, and from their exit code to their job's place in the queue."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import warm
from conftest import ROOT, free_port, tiny
from torch.utils.data import DataLoader
from torch.utils.data._utils import signal_handling

from cainet_mm.engine.checkpointing import find_damage
from cainet_mm.engine.signals import REQUEUE_CODE, keep_signals_from_workers


@pytest.fixture
def train(tmp_path):
    """Runs slurm_train.sh with an srun that ends with a code; the exit code, and what scontrol was told."""
    srun = '[ -z "$NOTED" ] || echo "$NOTED" >"$EXIT_CODE_FILE"; exit "$CODE"'
    for name, script in (('srun', srun), ('scontrol', f'echo "$@" >>{tmp_path}/told')):
        (tmp_path / name).write_text(f'#!/bin/sh\n{script}\n')
        (tmp_path / name).chmod(0o755)

    def run(code, noted='', **job):
        environment = {name: value for name, value in os.environ.items() if not name.startswith('SLURM_')}
        environment.update(job, CODE=str(code), NOTED=str(noted), PATH=f'{tmp_path}:{os.environ["PATH"]}')
        command = ['bash', str(ROOT / 'tools/slurm_train.sh'), 'partition', 'name', 'config.py', 'work', '--resume']
        done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
        told = tmp_path / 'told'
        return done.returncode, told.read_text().split() if told.exists() else []

    return run


def test_a_job_that_was_told_to_go_is_queued_again(train):
    assert train(REQUEUE_CODE, SLURM_JOB_ID='17') == (REQUEUE_CODE, ['requeue', '17'])


def test_so_is_one_of_whose_processes_srun_killed_some(train):
    assert train(143, noted=REQUEUE_CODE, SLURM_JOB_ID='17') == (REQUEUE_CODE, ['requeue', '17'])
    # what one run noted does not count for the next
    assert train(143, SLURM_JOB_ID='17')[0] == 143


@pytest.mark.parametrize('code, noted', [(75, 1), (143, 1), (137, 75), (1, 75)])
def test_a_job_of_which_a_process_failed_is_not(train, code, noted):
    # the others are told to go then, as by a cluster, and say so
    assert train(code, noted=noted, SLURM_JOB_ID='17') == (noted if noted == 1 else code, [])


@pytest.mark.parametrize('code', [0, 1, 143])
def test_a_job_that_ended_otherwise_is_not(train, code):
    assert train(code, SLURM_JOB_ID='17') == (code, [])


def test_outside_of_a_job_there_is_nothing_to_queue(train):
    assert train(REQUEUE_CODE) == (REQUEUE_CODE, [])


@pytest.mark.parametrize('codes', [(1, 75), (75, 1), (143, 75)])
def test_a_failure_is_noted_whoever_else_was_told_to_go(tmp_path, monkeypatch, codes):
    monkeypatch.setenv('EXIT_CODE_FILE', str(tmp_path / 'code'))
    monkeypatch.syspath_prepend(ROOT / 'tools')
    from _command import note_exit_code

    for code in codes:
        note_exit_code(code)
    assert int((tmp_path / 'code').read_text()) in set(codes) - {75}


def test_a_worker_that_has_only_just_started_leaves_the_signal_to_its_parent(monkeypatch):
    set_handlers = signal_handling._set_worker_signal_handlers

    def set_slowly():
        set_handlers()
        # as on a busy machine
        time.sleep(1)

    monkeypatch.setattr(signal_handling, '_set_worker_signal_handlers', set_slowly)
    loader = DataLoader(torch.arange(8), num_workers=2, multiprocessing_context='fork')
    keep_signals_from_workers(loader)
    batches = iter(loader)
    time.sleep(0.3)
    for worker in batches._workers:
        # by another process: a worker does what its parent says
        subprocess.run(['kill', '-TERM', str(worker.pid)], check=True)
    assert torch.cat(list(batches)).tolist() == list(range(8))
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & {signal.SIGTERM, signal.SIGUSR1}


def launch_environment(folder):
    """The variables of a launcher: itself is an interpreter of its own, but its processes are warm."""
    python = dict(PYTHON=sys.executable, PYTHON_EXEC=warm.python(), PYTHONPATH=f'{folder}:{ROOT}')
    return dict(os.environ, **python, PORT=str(free_port()), OMP_NUM_THREADS='1')


SLOW = """
import atexit
import os
import time

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class SlowToSave(Hook):
    def before_save_checkpoint(self, runner, checkpoint):
        time.sleep(4)


@HOOKS.register_module()
class SayWhereWeAre(Hook):
    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        open(os.path.join(runner.work_dir, f'{os.environ["RANK"]}_{os.getpid()}_{batch_idx}'), 'w').close()

    def before_train(self, runner):
        atexit.register(open, os.path.join(runner.work_dir, f'left_{os.environ["RANK"]}'), 'w')
"""


@pytest.mark.slow
@pytest.mark.parametrize('told', ['a process', 'torchrun'])
def test_several_processes_stay_until_the_checkpoint_is_written(tmp_path, told):
    work_dir = tmp_path / 'work'
    config = tiny('stage2', work_dir, iters=100_000)
    config.optim_wrapper.generator.accumulative_counts = 3
    config.optim_wrapper.disc.accumulative_counts = 3
    config.default_hooks.checkpoint.interval = 100_000
    config.custom_imports = dict(imports=['cainet_mm', 'slow_hooks'], allow_failed_imports=False)
    config.custom_hooks = [dict(type='SlowToSave'), dict(type='SayWhereWeAre')]
    config.dump(tmp_path / 'config.py')
    (tmp_path / 'slow_hooks.py').write_text(SLOW)
    environment = launch_environment(tmp_path)
    command = ['bash', str(ROOT / 'tools/dist_train.sh'), str(tmp_path / 'config.py'), '2']
    with open(tmp_path / 'said', 'w') as said:
        process = subprocess.Popen(command, env=environment, stdout=said, stderr=subprocess.STDOUT)
        try:
            end = time.monotonic() + 200
            while not (second := list(work_dir.glob('1_*_2'))):
                assert process.poll() is None and time.monotonic() < end, (tmp_path / 'said').read_text()[-3000:]
                time.sleep(0.05)
            os.kill(process.pid if told == 'torchrun' else int(second[0].name.split('_')[1]), signal.SIGTERM)
            code = process.wait(timeout=100)
        finally:
            process.kill()
    assert code == REQUEUE_CODE, (tmp_path / 'said').read_text()[-3000:]
    (saved,) = work_dir.glob('*.pth')
    assert find_damage(saved) is None
    # torchrun kills the others half a minute after one has left
    assert all((work_dir / f'left_{rank}').stat().st_mtime >= saved.stat().st_mtime for rank in range(2))
    # no sum of gradients was lost
    assert int(saved.stem.removeprefix('iter_')) % 3 == 0
    assert not torch.load(saved, weights_only=False)['step_state']['gradients']


FAILING = """
import os
import signal
import time

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class Fails(Hook):
    def __init__(self):
        if os.environ['RANK'] == '1':
            # without a word, as one that is out of memory
            os.abort()
        # until torchrun tells it to go
        time.sleep(100)
"""


@pytest.mark.slow
def test_processes_of_which_one_fails_at_the_start_do_not_end_as_if_they_were_told_to_go(tmp_path):
    config = tiny('stage2', tmp_path / 'work')
    config.custom_imports = dict(imports=['cainet_mm', 'failing_hook'], allow_failed_imports=False)
    config.custom_hooks = [dict(type='Fails')]
    config.dump(tmp_path / 'config.py')
    (tmp_path / 'failing_hook.py').write_text(FAILING)
    environment = launch_environment(tmp_path)
    command = ['bash', str(ROOT / 'tools/dist_train.sh'), str(tmp_path / 'config.py'), '2']
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200)
    assert 'SIGTERM before training began' in done.stderr
    assert done.returncode == 1


TELL_WHILE_FORMATTING = """
import os
import signal

from mmengine.config import config


def tell(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGTERM)


config.FormatCode = tell
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != 'linux', reason='it waits until /proc says that the signal is listened to')
@pytest.mark.parametrize('while_formatting', [False, True])
def test_a_run_that_is_told_to_go_before_it_trains_is_queued_again(tmp_path, while_formatting):
    config = tiny('stage2', tmp_path / 'work')
    if while_formatting:
        # where MMEngine takes any exception for a config that cannot be formatted
        config.custom_imports = dict(imports=['cainet_mm', 'tell_while_formatting'], allow_failed_imports=False)
        (tmp_path / 'tell_while_formatting.py').write_text(TELL_WHILE_FORMATTING)
    config.dump(tmp_path / 'config.py')
    # whether it may be told while it imports is seen by an interpreter that does
    python = warm.python() if while_formatting else sys.executable
    command = [python, str(ROOT / 'tools/train.py'), str(tmp_path / 'config.py')]
    environment = dict(os.environ, EXIT_CODE_FILE=str(tmp_path / 'code'), PYTHONPATH=f'{tmp_path}:{ROOT}')
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    status = Path(f'/proc/{process.pid}/status')
    while not int(re.search('SigCgt:\t(.*)', status.read_text())[1], 16) >> (signal.SIGTERM - 1) & 1:
        time.sleep(0.05)
    if not while_formatting:
        process.terminate()
    _, said = process.communicate(timeout=100)
    assert process.returncode == REQUEUE_CODE and 'before training began' in said
    assert (tmp_path / 'code').read_text() == str(REQUEUE_CODE)
    assert not list((tmp_path / 'work').glob('*.pth'))

"""From the exit code of a run that was told to go to its job's place in the queue."""

import os
import subprocess

import pytest
from conftest import ROOT

from cainet_mm.engine.preemption import REQUEUE_CODE


@pytest.fixture
def train(tmp_path):
    """Runs slurm_train.sh with an srun that ends with a code; the exit code, and what scontrol was told."""
    for name, script in (('srun', 'exit "$CODE"'), ('scontrol', f'echo "$@" >>{tmp_path}/told')):
        (tmp_path / name).write_text(f'#!/bin/sh\n{script}\n')
        (tmp_path / name).chmod(0o755)

    def run(code, **job):
        environment = {name: value for name, value in os.environ.items() if not name.startswith('SLURM_')}
        environment.update(job, CODE=str(code), PATH=f'{tmp_path}:{os.environ["PATH"]}')
        command = ['bash', str(ROOT / 'tools/slurm_train.sh'), 'partition', 'name', 'config.py', 'work', '--resume']
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        told = tmp_path / 'told'
        return done.returncode, told.read_text().split() if told.exists() else []

    return run


def test_a_job_that_was_told_to_go_is_queued_again(train):
    assert train(REQUEUE_CODE, SLURM_JOB_ID='17') == (REQUEUE_CODE, ['requeue', '17'])


@pytest.mark.parametrize('code', [0, 1, 143])
def test_a_job_that_ended_otherwise_is_not(train, code):
    assert train(code, SLURM_JOB_ID='17') == (code, [])


def test_outside_of_a_job_there_is_nothing_to_queue(train):
    assert train(REQUEUE_CODE) == (REQUEUE_CODE, [])

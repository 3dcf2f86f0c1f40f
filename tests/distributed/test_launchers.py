"""Several processes on CPUs, by each launcher and on two machines, as the tools start them."""

import json
import os
import stat
import subprocess
import sys

import pytest
import torch
import warm
from conftest import ROOT, free_port, tiny
from mmengine.config import Config
from mmengine.registry import MODELS
from pair import environment, run_together

TOOLS = ROOT / 'tools'


def load_command(monkeypatch):
    monkeypatch.syspath_prepend(TOOLS)
    import _command

    monkeypatch.setattr(_command.sys, 'argv', ['train.py'])
    return _command


@pytest.fixture
def variables(monkeypatch):
    """No launcher's variables, and what is set is forgotten after the test."""
    for name in list(os.environ):
        if name.startswith(('SLURM_', 'OMPI_')):
            monkeypatch.delenv(name)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT'):
        # a value to go back to, or none
        monkeypatch.setenv(name, '')
        monkeypatch.delenv(name)
    return monkeypatch


def stub(folder, name, script):
    """A program on PATH."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f'#!/usr/bin/env bash\n{script}\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return os.pathsep.join([str(folder), os.environ['PATH']])


class TestPlaces:
    """Where a process is in the group, from its launcher's variables."""

    def places(self):
        return {
            name: os.environ.get(name) for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
        }

    def test_mpi_on_one_machine(self, variables):
        for name, value in dict(RANK=3, SIZE=4, LOCAL_RANK=3, LOCAL_SIZE=4).items():
            variables.setenv(f'OMPI_COMM_WORLD_{name}', str(value))
        command = load_command(variables)
        command.set_places(command.Tool(), 'mpi')
        assert self.places() == dict(
            RANK='3', WORLD_SIZE='4', LOCAL_RANK='3', MASTER_ADDR='127.0.0.1', MASTER_PORT='29500'
        )

    def test_mpi_on_several_machines_needs_an_address(self, variables, capsys):
        for name, value in dict(RANK=3, SIZE=4, LOCAL_RANK=1, LOCAL_SIZE=2).items():
            variables.setenv(f'OMPI_COMM_WORLD_{name}', str(value))
        command = load_command(variables)
        with pytest.raises(SystemExit):
            command.set_places(command.Tool(), 'mpi')
        assert 'set MASTER_ADDR' in capsys.readouterr().err
        variables.setenv('MASTER_ADDR', 'node7')
        command.set_places(command.Tool(), 'mpi')
        assert (os.environ['MASTER_ADDR'], os.environ['LOCAL_RANK']) == ('node7', '1')

    def test_slurm_asks_for_the_first_machine(self, variables, tmp_path):
        script = '[ "$*" = "show hostnames node[3-4]" ] && printf "node3\\nnode4\\n"'
        variables.setenv('PATH', stub(tmp_path, 'scontrol', script))
        for name, value in dict(PROCID=5, NTASKS=8, LOCALID=1, NODELIST='node[3-4]').items():
            variables.setenv(f'SLURM_{name}', str(value))
        variables.setenv('MASTER_PORT', '29777')
        command = load_command(variables)
        command.set_places(command.Tool(), 'slurm')
        assert self.places() == dict(RANK='5', WORLD_SIZE='8', LOCAL_RANK='1', MASTER_ADDR='node3', MASTER_PORT='29777')

    @pytest.mark.parametrize(
        ('launcher', 'variable', 'starter'),
        [('slurm', 'SLURM_PROCID', 'srun'), ('mpi', 'OMPI_COMM_WORLD_RANK', 'mpirun'), ('pytorch', 'RANK', 'torchrun')],
    )
    def test_processes_that_no_launcher_started(self, variables, capsys, launcher, variable, starter):
        command = load_command(variables)
        with pytest.raises(SystemExit) as stopped:
            command.set_places(command.Tool(), launcher)
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f'reads {variable}, which is not set' in line
        assert starter in line


def assert_trained(folder):
    """One run of two processes: one log, one checkpoint with the names of a single one's, batches of both."""
    work_dir = folder / 'work'
    checkpoint = torch.load(work_dir / 'iter_1.pth', weights_only=False, map_location='cpu')
    model = MODELS.build(Config.fromfile(folder / 'tiny.py').model)
    assert checkpoint['state_dict'].keys() == model.state_dict().keys()
    (log,) = work_dir.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry['step'] for entry in entries if any(key.startswith('loss') for key in entry)] == [1]
    (text,) = work_dir.glob('*/*.log')
    assert 'Distributed training: True' in text.read_text()
    assert 'GPU number: 2' in text.read_text()


def config_for(folder, name):
    """One iteration of a stage, or of a baseline's smoke variant, as a file, without validation."""
    if name.startswith('stage'):
        config = tiny(name, folder / 'work', iters=1)
    else:
        config = Config.fromfile(ROOT / f'configs/baselines/smoke/{name}.py')
        config.work_dir = str(folder / 'work')
        config.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
        config.train_cfg.max_iters = 1
        config.default_hooks.logger.interval = 1
        config.default_hooks.pop('pictures', None)
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        config[key] = None
    config.train_cfg.pop('val_interval', None)
    config.dump(folder / 'tiny.py')
    return folder / 'tiny.py'


ENDING = """
import os, sys
sys.path.insert(0, {tools!r})
import torch
# as the tools, before there is a group: it keeps one that it finds
import torch._dynamo
from _command import run_to_the_end
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

def count_threads():
    return len(os.listdir('/proc/self/task'))

def main():
    distributed.init_process_group('gloo', init_method='file://{folder}/store', rank=0, world_size=1)
    model = DistributedDataParallel(torch.nn.Linear(3, 3))
    model(torch.ones(2, 3)).sum().backward()
    # a runner and its parts hold each other
    model.runner = [model]
    counts.append(count_threads())
    sys.exit({code})

counts = [count_threads()]
try:
    run_to_the_end(main)
finally:
    counts.append(count_threads())
    print(counts)
"""


@pytest.mark.skipif(not os.path.isdir('/proc/self/task'), reason='threads are counted in /proc, which is absent')
@pytest.mark.parametrize(('code', 'ends_group'), [(0, True), (75, True), (1, False)])
def test_no_thread_of_the_group_outlives_a_tool(tmp_path, code, ends_group):
    script = ENDING.format(tools=str(TOOLS), folder=tmp_path, code=code or '')
    done = subprocess.run([sys.executable, '-c', script], env=environment(), capture_output=True, text=True)
    if ends_group:
        # a process that still has them may abort at its end
        assert done.returncode == code, done.stderr
    before, while_running, after = json.loads(done.stdout)
    assert while_running > before
    assert after == before if ends_group else after > before


@pytest.mark.slow
def test_mpi(tmp_path):
    command = [warm.python(), TOOLS / 'train.py', config_for(tmp_path, 'stage1'), '--launcher', 'mpi']
    port = free_port()
    places = [
        {
            f'OMPI_COMM_WORLD_{name}': value
            for name, value in dict(RANK=rank, SIZE=2, LOCAL_RANK=rank, LOCAL_SIZE=2).items()
        }
        for rank in range(2)
    ]
    run_together([(command, environment(MASTER_PORT=port, **place)) for place in places])
    assert_trained(tmp_path)


@pytest.mark.slow
def test_slurm(tmp_path):
    # srun starts its command in every task
    script = """
while [ "${1#-}" != "$1" ]; do shift; done
export SLURM_NTASKS=2 SLURM_NODELIST=here
SLURM_PROCID=1 SLURM_LOCALID=1 "$@" & other=$!
SLURM_PROCID=0 SLURM_LOCALID=0 "$@" && wait $other
"""
    stub(tmp_path / 'bin', 'srun', script)
    path = stub(tmp_path / 'bin', 'scontrol', 'echo 127.0.0.1')
    command = ['bash', TOOLS / 'slurm_train.sh', 'part', 'job', config_for(tmp_path, 'lbam'), tmp_path / 'work']
    run_together([(command, environment(PATH=path, PYTHON=warm.python(), GPUS=2, MASTER_PORT=free_port()))])
    assert_trained(tmp_path)


@pytest.mark.slow
def test_two_machines_with_a_process_each(tmp_path):
    command = ['bash', TOOLS / 'dist_train.sh', config_for(tmp_path, 'stage2'), '1']
    shared = dict(PYTHON=warm.python(), NNODES=2, MASTER_ADDR='127.0.0.1', PORT=free_port())
    run_together([(command, environment(NODE_RANK=node, **shared)) for node in range(2)])
    assert_trained(tmp_path)

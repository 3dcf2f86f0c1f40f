"""A pair of processes on this machine."""

import atexit
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch
import warm
from conftest import free_port

WORKER = Path(__file__).with_name('worker.py')


def environment(**variables):
    """The variables of a process that trains: one thread, no warnings, nothing of a launcher's but what is given."""
    of_launchers = ('RANK', 'WORLD_SIZE', 'LOCAL_RANK', 'MASTER_ADDR', 'MASTER_PORT')
    known = {key: value for key, value in os.environ.items() if key not in of_launchers}
    fixed = dict(OMP_NUM_THREADS='1', PYTHONWARNINGS='ignore', CUDA_VISIBLE_DEVICES='')
    return known | fixed | {key: str(value) for key, value in variables.items()}


def run_together(commands, timeout=300):
    """Run commands, (arguments, environment), at the same time; an error of one ends all."""
    running = [
        subprocess.Popen(
            [str(part) for part in command], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for command, env in commands
    ]
    try:
        outputs = [process.communicate(timeout=timeout)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    failed = [output for process, output in zip(running, outputs, strict=True) if process.returncode]
    if failed:
        raise RuntimeError('\n\n'.join(output[-6000:] for output in failed))
    return outputs


@cache
def answers_of_pair(*checks):
    """The answers of both processes to checks of ``worker.py``, which are made once, and the folder of their files."""
    folder = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    port = free_port()
    run_together(
        [
            (
                [warm.python(), WORKER, folder, *checks],
                environment(RANK=rank, WORLD_SIZE=2, LOCAL_RANK=rank, MASTER_ADDR='127.0.0.1', MASTER_PORT=port),
            )
            for rank in range(2)
        ]
    )
    return folder, [torch.load(folder / f'answers_{rank}.pt', weights_only=False) for rank in range(2)]

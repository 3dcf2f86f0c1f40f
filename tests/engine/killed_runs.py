"""Trains small runs that are killed and resumed: python killed_runs.py FOLDER SCENARIO SEED KILLS [SIGNAL].

``FOLDER/whole`` gets the run that nobody disturbs and ``FOLDER/killed`` the one that is killed, with its workers, by
SIGKILL or another signal, each time at a drawn iteration and a drawn fraction of a second later. ``FOLDER/kills.json``
gets, for each, the iterations that were begun until then, the exit code, and the newest checkpoint. Every run is a
process of its own, or two; they are forked, as importing everything anew would take most of the time.
"""

import itertools
import json
import os
import random
import signal
import statistics
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / 'tools'))
from _command import Command, build_runner  # noqa: E402
from conftest import free_port, tiny  # noqa: E402
from mmengine.config import Config  # noqa: E402
from mmengine.hooks import Hook  # noqa: E402

ITERATIONS = 12


class ReportHook(Hook):
    """Writes a byte into a pipe when an iteration begins."""

    priority = 'HIGHEST'

    def __init__(self, pipe):
        self.pipe = pipe

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        os.write(self.pipe, b'.')


def make_config(scenario: str, work_dir: Path) -> Config:
    """What is trained, with as much state as possible that an interruption could lose."""
    stage = 'stage1' if scenario == 'stage1' else 'stage2'
    config = tiny(stage, work_dir, iters=ITERATIONS)
    config.update(resume=True, launcher='none')
    config.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=2)
    config.param_scheduler = [dict(type='CosineAnnealingLR', by_epoch=False, T_max=ITERATIONS)]
    config.custom_hooks = [*config.get('custom_hooks', []), dict(type='EMAHook', momentum=0.3)]
    if scenario == 'stage1':
        config.train_dataloader.update(num_workers=2, persistent_workers=True)
    if scenario == 'preempted':
        # none but those that the signal brings about
        config.default_hooks.checkpoint.interval = 100
        config.train_cfg.val_interval = 3
        for loader in (config.train_dataloader, config.val_dataloader):
            loader.update(num_workers=2, persistent_workers=True)
    if scenario == 'stage2':
        # saved in the middle of an accumulation, and between two steps of the generator
        config.model.train_cfg = dict(disc_step=3)
        config.default_hooks.checkpoint.interval = 1
        config.optim_wrapper.generator.accumulative_counts = 2
        config.optim_wrapper.disc.accumulative_counts = 3
    if scenario == 'pair':
        config.launcher = 'pytorch'
        config.model.train_cfg = dict(disc_step=2)
        config.train_dataloader.update(batch_size=2, num_workers=1, persistent_workers=True)
    if scenario == 'epochs':
        # 9 photographs in batches of 4: epochs end within the run, with a smaller batch; no seed in the config
        config.train_dataloader.update(sampler=dict(type='DefaultSampler', shuffle=True), drop_last=False)
        config.train_dataloader.update(num_workers=1, persistent_workers=False)
        config.randomness = dict(seed=None)
    return config


def train(config: Config, pipe: int, port: int) -> None:
    config.experiment_name = f'run_{os.getpid()}'
    other = None
    if config.launcher == 'pytorch':
        other = os.fork()
        os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port), WORLD_SIZE='2')
        rank = '0' if other else '1'
        os.environ.update(RANK=rank, LOCAL_RANK=rank)
    runner = build_runner(Command(''), config)
    if other != 0:
        runner.register_hook(ReportHook(pipe))
    runner.train()
    if other:
        _, status = os.waitpid(other, 0)
        sys.exit(os.waitstatus_to_exitcode(status))


def run(config, log, stop_after=None, later=0.0, number=signal.SIGKILL, times=None) -> int:
    """Train in a process of its own, and signal it where an iteration is named; its exit code, below 0 a signal.

    ``times`` gets when each iteration began.
    """
    receiving, sending = os.pipe()
    port = free_port()
    process = os.fork()
    if not process:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.setsid()
        try:
            train(config, sending, port)
        except SystemExit as end:
            os._exit(end.code)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(sending)
    begun = 0
    while begun != stop_after and os.read(receiving, 1):
        begun += 1
        if times is not None:
            times.append(time.monotonic())
    if begun == stop_after:
        time.sleep(later)
        # with its workers, as a machine that goes down does, and a cluster that wants it back
        os.killpg(process, number)
    _, status = os.waitpid(process, 0)
    os.close(receiving)
    code = os.waitstatus_to_exitcode(status)
    if code == 1:
        raise RuntimeError(f'The run failed by itself:\n{log.read_text()[-3000:]}')
    return code


def newest(folder: Path) -> int:
    """Number of the newest checkpoint."""
    return max((int(path.stem.removeprefix('iter_')) for path in folder.glob('iter_*.pth')), default=0)


def main() -> None:
    folder, scenario, seed, kills = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    number = signal.Signals[sys.argv[5]] if len(sys.argv) > 5 else signal.SIGKILL
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    # one run decides the seed where the config has none: the checkpoints of both have to go on with it
    whole = make_config(scenario, folder / 'whole')
    if scenario == 'epochs':
        whole.randomness = dict(seed=seed)
    times = []
    run(whole, folder / 'whole.txt', times=times)
    step = statistics.median(later - earlier for earlier, later in itertools.pairwise(times))
    done = []
    while True:
        config = make_config(scenario, folder / 'killed')
        if scenario == 'epochs' and not newest(folder / 'killed'):
            config.randomness = dict(seed=seed)
        start = newest(folder / 'killed')
        begun, later = (draw.randint(1, 3), draw.uniform(0, step)) if len(done) < kills else (None, 0.0)
        code = run(config, folder / 'killed.txt', begun, later, number)
        if not code:
            break
        done.append(dict(begun=start + begun, code=code, newest=newest(folder / 'killed')))
    (folder / 'kills.json').write_text(json.dumps(done))


if __name__ == '__main__':
    main()

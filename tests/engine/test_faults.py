"""What goes wrong during a training, and what is left of it."""

import logging
import os
import random
import re
import shutil
import signal
import subprocess
from pathlib import Path
from threading import Timer
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import warm
from conftest import ROOT, tiny
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MessageHub
from mmengine.model import BaseModel
from mmengine.registry import MODELS, TRANSFORMS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from cainet_mm.datasets import TooManyBadImagesError
from cainet_mm.datasets.bad_images import BadImages
from cainet_mm.engine import (
    AtomicCheckpointHook,
    CheckpointError,
    DataWorkerError,
    SaveOnSignalHook,
    TrainingError,
    run_with_watched_workers,
)
from cainet_mm.engine.checkpointing import AtomicBackend, find_damage, find_whole_checkpoint, list_checkpoints
from cainet_mm.engine.training_lock import LOCK
from cainet_mm.utils.checkpoint_io import read_checkpoint

RUNTIME = ROOT / 'configs' / '_base_' / 'default_runtime.py'


@MODELS.register_module()
class Brightness(BaseModel):
    """Learns a number: as little of a model as a runner takes."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, inputs, data_samples=None, mode='loss'):
        images = torch.stack(inputs).float() if isinstance(inputs, list) else inputs.float()
        return dict(loss=(images.mean() / 255 - self.weight) ** 2)


@TRANSFORMS.register_module()
class Murderous:
    """Kills the worker at a certain photograph."""

    def __init__(self, victim):
        self.victim = victim

    def __call__(self, results):
        if Path(results['gt_path']).name == self.victim:
            os.kill(os.getpid(), signal.SIGKILL)
        return results


def make_runner(work_dir, photos, iters, name, pipeline=(), hooks=(), **changes):
    config = Config.fromfile(RUNTIME)
    # a second for each run
    config.default_hooks.pop('pictures')
    config.merge_from_dict(
        dict(
            work_dir=str(work_dir),
            experiment_name=name,
            model=dict(type='Brightness'),
            optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
            train_cfg=dict(type='ResumableTrainLoop', max_iters=iters),
            default_hooks=dict(bad_images=dict(interval=10), logger=dict(interval=10)),
            randomness=dict(seed=0),
            train_dataloader=dict(
                batch_size=50,
                num_workers=2,
                sampler=dict(type='DefaultSampler', shuffle=True),
                dataset=dict(
                    type='PhotoDataset',
                    data_root=str(photos),
                    pipeline=[dict(type='LoadPhoto'), *pipeline, dict(type='PackInputs', keys=['gt'])],
                ),
            ),
        )
    )
    config.merge_from_dict(changes)
    runner = Runner.from_cfg(config)
    for hook in hooks:
        runner.register_hook(hook)
    return runner


def write_photos(folder, count):
    """Many small photographs, of which there are twenty kinds."""
    folder.mkdir()
    draw = np.random.default_rng(0)
    for number in range(count):
        path = folder / f'{number:05}.png'
        if number < 20:
            cv2.imwrite(str(path), draw.integers(0, 256, (24, 24, 3), np.uint8))
        else:
            os.link(folder / f'{number % 20:05}.png', path)


def damage_photos(folder, first, count):
    """Truncated, empty and mislabelled files in turn; their names."""
    whole = (folder / '00000.png').read_bytes()
    photo = cv2.imencode('.jpg', np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))[1].tobytes()
    contents = (whole[: len(whole) // 2], b'', b'no image, but a note called one', photo[: len(photo) * 9 // 10])
    damaged = [folder / f'{number:05}.png' for number in range(first, first + count)]
    for number, path in enumerate(damaged):
        path.unlink()
        path.write_bytes(contents[number % 4])
    return {str(path) for path in damaged}


class Vanish(Hook):
    """Deletes photographs while training goes on."""

    def __init__(self, paths):
        self.paths = paths

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == 7:
            for path in self.paths:
                path.unlink()


@pytest.mark.slow
def test_of_four_thousand_photographs_some_are_bad_and_training_goes_on(tmp_path):
    photos = tmp_path / 'photos'
    write_photos(photos, 4000)
    damaged = damage_photos(photos, 2000, 75)
    vanishing = [photos / f'{number:05}.png' for number in range(3000, 3025)]
    runner = make_runner(tmp_path / 'work', photos, 80, 'four_thousand', hooks=[Vanish(vanishing)])
    runner.train()
    assert runner.iter == 80
    lines = (tmp_path / 'work/bad_images.txt').read_text().splitlines()
    named = [line.split('\t')[0] for line in lines]
    assert len(named) == len(set(named))
    # an epoch has each once; of those that vanished after a tenth of it, some were loaded before
    assert damaged <= set(named)
    gone = set(named) - damaged
    assert gone <= {str(path) for path in vanishing} and len(gone) >= 15
    assert all(line.split('\t')[1].startswith(line.split('\t')[0]) for line in lines)
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert f'{len(named)} of 4000 training images were bad' in log
    assert re.search(r'Iter\(train\) \[80/80\].*bad_images: \d+', log)
    for path in named:
        assert len(re.findall(f'Skipped: {re.escape(path)}', log)) == 1


def test_a_list_of_bad_images_goes_on_and_names_none_twice(tmp_path):
    photos = tmp_path / 'photos'
    write_photos(photos, 100)
    damaged = damage_photos(photos, 50, 4)
    options = {'train_dataloader.num_workers': 0, 'default_hooks.checkpoint.interval': 1}

    def named():
        return [line.split('\t')[0] for line in (tmp_path / 'work/bad_images.txt').read_text().splitlines()]

    for iters, resume in ((2, False), (4, True)):
        make_runner(tmp_path / 'work', photos, iters, f'{iters}_going_on', resume=resume, **options).train()
        assert sorted(named()) == sorted(damaged)
    # what one run found counts for that by which it is resumed, and not for one that begins anew
    options['train_dataloader.dataset.max_bad_share'] = 0.03
    with pytest.raises(TooManyBadImagesError, match='4 of 100 images are bad'):
        make_runner(tmp_path / 'work', photos, 6, 'too_many_going_on', resume=True, **options).train()
    for path in damaged:
        Path(path).write_bytes((photos / '00001.png').read_bytes())
    make_runner(tmp_path / 'work', photos, 2, 'anew', **options).train()
    assert not (tmp_path / 'work/bad_images.txt').exists()


def test_joined_data_sets_have_a_list_and_a_share_each(tmp_path):
    damaged = []
    for number, (count, bad) in enumerate([(40, 2), (100, 4)], start=1):
        write_photos(tmp_path / str(number), count)
        damaged.append(damage_photos(tmp_path / str(number), 30, bad))
    parts = [
        dict(
            type='PhotoDataset',
            data_root=str(tmp_path / str(number)),
            pipeline=[dict(type='LoadPhoto'), dict(type='PackInputs', keys=['gt'])],
        )
        for number in (1, 2)
    ]
    runner = make_runner(
        tmp_path / 'work',
        tmp_path / '1',
        14,
        'joined',
        **{
            'train_dataloader.dataset': dict(_delete_=True, type='ConcatDataset', datasets=parts),
            'train_dataloader.batch_size': 10,
        },
    )
    runner.train()
    for number, names in enumerate(damaged, start=1):
        lines = (tmp_path / f'work/bad_images_{number}.txt').read_text().splitlines()
        assert {line.split('\t')[0] for line in lines} == names
    log = next((tmp_path / 'work').glob('*/*.log')).read_text()
    assert '2 of 40 training images were bad' in log and '4 of 100 training images were bad' in log
    assert re.search(r'Iter\(train\) \[10/14\].*bad_images: \d+', log)


def test_processes_that_share_a_list_count_and_name_together(tmp_path, caplog):
    processes = [BadImages(100, max_share=0.04) for _ in range(2)]
    for bad in processes:
        bad.list_in(tmp_path / 'bad_images.txt')
    for number, index in ((0, 7), (1, 7), (1, 8), (0, 9), (1, 10)):
        processes[number].add(index, f'{index}.png', f'{index}.png is broken.')
    assert [bad.count for bad in processes] == [4, 4]
    assert len((tmp_path / 'bad_images.txt').read_text().splitlines()) == 4
    with pytest.raises(TooManyBadImagesError, match='5 of 100 images are bad'):
        processes[0].add(11, '11.png', '11.png is broken.')


def test_a_list_that_cannot_be_written_leaves_the_counting(tmp_path):
    bad = BadImages(100, max_share=0.01)
    (tmp_path / 'bad_images.txt').mkdir()
    bad.list_in(tmp_path / 'bad_images.txt')
    bad.add(7, '7.png', '7.png is broken.')
    with pytest.raises(TooManyBadImagesError, match='2 of 100 images are bad'):
        bad.add(8, '8.png', '8.png is broken.')


@pytest.mark.parametrize('workers', [0, 2])
def test_too_many_bad_photographs_stop_the_run_whoever_found_them(workers, tmp_path):
    photos = tmp_path / 'photos'
    write_photos(photos, 200)
    damage_photos(photos, 100, 9)
    options = {'train_dataloader.num_workers': workers, 'train_dataloader.batch_size': 20}
    runner = make_runner(tmp_path / 'work', photos, 10, f'too_many_{workers}', **options)
    runner.train()  # 9 of 200 are below the default of a twentieth
    options['train_dataloader.dataset.max_bad_share'] = 0.04
    runner = make_runner(tmp_path / 'work', photos, 10, f'stopped_{workers}', **options)
    with pytest.raises(TooManyBadImagesError, match=r'(?s)9 of 200 images are bad.*listed in .*bad_images\.txt'):
        runner.train()


@pytest.mark.slow
def test_a_worker_that_dies_is_an_error_that_names_the_photograph(tmp_path):
    photos = tmp_path / 'photos'
    write_photos(photos, 100)
    options = {'train_dataloader.batch_size': 10, 'train_dataloader.persistent_workers': True}
    pipeline = [dict(type='Murderous', victim='00077.png')]
    runner = make_runner(tmp_path / 'work', photos, 20, 'murder', pipeline, **options)
    with pytest.raises(DataWorkerError, match=r'^DataLoader worker .*[^.]\. Sample 77, .*00077\.png, was being'):
        runner.train()


@pytest.mark.slow
@pytest.mark.parametrize('workers', [1, 2])
def test_a_worker_of_validation_that_dies_is_an_error_that_names_the_photograph(workers, tmp_path):
    config = tiny('stage2', tmp_path / 'work', iters=1)
    config.merge_from_dict({'val_dataloader.num_workers': workers, 'val_dataloader.persistent_workers': True})
    photos = tmp_path / 'photos'
    write_photos(photos, 20)
    pipeline = config.val_dataloader.dataset.pipeline
    config.val_dataloader.dataset = dict(
        type='PhotoDataset',
        data_root=str(photos),
        test_mode=True,
        pipeline=[
            dict(type='LoadPhoto'),
            dict(type='Murderous', victim='00013.png'),
            dict(type='Resize', keys=['gt'], scale=(64, 64), keep_ratio=False),
            *pipeline,
        ],
    )
    with pytest.raises(DataWorkerError, match=r'^DataLoader worker .*[^.]\. Sample 13, .*00013\.png, was being'):
        Runner.from_cfg(config).train()


@pytest.fixture
def sigchld():
    """Puts back who listens to the deaths of processes."""
    before = signal.getsignal(signal.SIGCHLD)
    yield
    signal.signal(signal.SIGCHLD, before)


@pytest.mark.parametrize('is_told', [True, False])
def test_a_worker_that_dies_while_it_hands_a_batch_over_is_named(is_told, sigchld):
    loader = DataLoader(torch.arange(8), num_workers=1)

    def run():
        batches = iter(loader)
        next(batches)
        if not is_told:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # the connection breaks off first; that the process is dead is known a moment later
        Timer(0.3, batches._workers[0].kill).start()
        raise ConnectionResetError(104, 'Connection reset by peer')

    with pytest.raises(DataWorkerError, match=r'^.*DataLoader worker .*[^.]\. No sample yet was being'):
        run_with_watched_workers(run, SimpleNamespace(dataloader=loader))


@pytest.mark.parametrize('kind', [ConnectionResetError, FileNotFoundError, RuntimeError])
def test_an_error_without_a_death_stays_what_it_is(kind, monkeypatch):
    monkeypatch.setattr('cainet_mm.engine.workers.PATIENCE', 0.1)
    loader = DataLoader(torch.arange(4), num_workers=2)

    def run():
        # these workers have ended when the error comes, but not died
        assert len(list(loader)) == 4
        raise kind('something else')

    with pytest.raises(kind, match='something else'):
        run_with_watched_workers(run, SimpleNamespace(dataloader=loader))


def train_tiny(work_dir, iters, name, hooks=(), **changes):
    config = tiny('stage1', work_dir, iters)
    config.resume = True
    config.experiment_name = name
    config.merge_from_dict(changes)
    runner = Runner.from_cfg(config)
    for hook in hooks:
        runner.register_hook(hook)
    runner.train()
    return runner


def cut_off(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(path):
    path.write_bytes(b'')


@pytest.mark.parametrize('damage', [cut_off, flip_a_bit, empty, Path.unlink])
def test_a_damaged_checkpoint_is_never_resumed_but_the_one_before_it(damage, tmp_path):
    train_tiny(tmp_path, 3, f'whole_{damage.__name__}')
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'iter_3.pth')
    damage(tmp_path / 'iter_3.pth')
    warnings = []
    assert find_whole_checkpoint(tmp_path, warnings.append) == str(tmp_path / 'iter_2.pth')
    assert len(warnings) == 1 and 'iter_3.pth is damaged' in warnings[0]
    runner = train_tiny(tmp_path, 4, f'resumed_{damage.__name__}')
    assert runner.iter == 4
    # trained again from the second on
    assert find_damage(tmp_path / 'iter_3.pth') is None
    assert find_damage(tmp_path / 'iter_4.pth') is None


def test_of_checkpoints_with_a_drawn_bit_flipped_none_is_taken_for_another_or_ends_the_run(tmp_path):
    train_tiny(tmp_path, 2, 'drawn_bits')
    path = tmp_path / 'iter_2.pth'
    good, draw = path.read_bytes(), random.Random(0)
    weights = read_checkpoint(path)['state_dict']
    # the directory of the file, at its end, is where other errors come from
    places = [draw.randrange(len(good)) for _ in range(30)]
    places += [draw.randrange(len(good) * 9 // 10, len(good)) for _ in range(30)]
    skipped = 0
    for place in places:
        content = bytearray(good)
        content[place] ^= 1 << draw.randrange(8)
        path.write_bytes(content)
        chosen = find_whole_checkpoint(tmp_path, lambda sentence: None)
        if chosen == str(path):
            # a bit that means nothing, such as of the time at which a part was written
            taken = read_checkpoint(path)['state_dict']
            assert all(torch.equal(taken[name], value) for name, value in weights.items()), place
        else:
            assert chosen == str(tmp_path / 'iter_1.pth')
            skipped += 1
    assert skipped > 30


@pytest.mark.parametrize('damage', [cut_off, flip_a_bit])
@pytest.mark.parametrize('resume', [True, False])
def test_a_damaged_checkpoint_that_is_named_is_refused(damage, resume, tmp_path):
    train_tiny(tmp_path, 2, f'named_{damage.__name__}_{resume}')
    damage(tmp_path / 'iter_2.pth')
    with pytest.raises(CheckpointError, match=r'iter_2\.pth cannot be read, or is damaged'):
        train_tiny(
            tmp_path, 3, f'refused_{damage.__name__}_{resume}', resume=resume, load_from=str(tmp_path / 'iter_2.pth')
        )


def test_another_run_in_the_folder_leaves_a_checkpoint_that_is_being_written_until_it_trains(tmp_path):
    partial = tmp_path / '.iter_7.pth.partial'
    partial.touch()
    hook = AtomicCheckpointHook(by_epoch=False)
    runner = SimpleNamespace(
        work_dir=str(tmp_path),
        _resume=False,
        _load_from=None,
        logger=logging.getLogger('none'),
        message_hub=MessageHub.get_instance('partial'),
    )
    hook.before_run(runner)
    assert partial.exists()
    hook.before_train(runner)
    assert not partial.exists()


# nothing, zeros as a machine leaves them that went down, a name cut within a letter, no name at all, none
NOTES = [b'', b'nowhere/iter_9.pth', bytes(40), 'work/ä'.encode()[:-1], b'x' * 5000, b'/', None]


@pytest.mark.parametrize('note', NOTES)
def test_a_note_of_the_last_checkpoint_that_is_no_use_is_done_without(note, tmp_path):
    train_tiny(tmp_path, 2, f'note_{NOTES.index(note)}')
    (tmp_path / 'last_checkpoint').unlink() if note is None else (tmp_path / 'last_checkpoint').write_bytes(note)
    assert find_whole_checkpoint(tmp_path, lambda _: None) == str(tmp_path / 'iter_2.pth')


def test_a_copy_of_a_work_directory_goes_on_from_its_own_checkpoint(tmp_path):
    train_tiny(tmp_path / 'original', 2, 'original')
    shutil.copytree(tmp_path / 'original', tmp_path / 'copy')
    assert find_whole_checkpoint(tmp_path / 'copy') == str(tmp_path / 'copy/iter_2.pth')


def test_checkpoints_elsewhere_and_of_other_names_are_found_without_the_note(tmp_path):
    elsewhere = {
        'default_hooks.checkpoint.out_dir': str(tmp_path / 'out'),
        'default_hooks.checkpoint.filename_tmpl': 'model_{}.pth',
    }
    train_tiny(tmp_path / 'run', 2, 'elsewhere', **elsewhere)
    (tmp_path / 'run/last_checkpoint').unlink()
    cut_off(tmp_path / 'out/run/model_2.pth')
    runner = train_tiny(tmp_path / 'run', 3, 'elsewhere_resumed', **elsewhere)
    log = (Path(runner.log_dir) / f'{runner.timestamp}.log').read_text()
    assert 'model_2.pth is damaged' in log
    assert 'resumed epoch: 0, iter: 1' in log


def test_a_run_without_any_whole_checkpoint_does_not_start_anew_by_itself(tmp_path):
    train_tiny(tmp_path, 2, 'all_damaged')
    for path in tmp_path.glob('*.pth'):
        cut_off(path)
    with pytest.raises(CheckpointError, match=r'None of the checkpoints .* is whole: iter_2\.pth, iter_1\.pth'):
        train_tiny(tmp_path, 3, 'not_started')
    assert find_whole_checkpoint(tmp_path / 'elsewhere') is None


def test_the_last_checkpoint_is_the_noted_one_then_the_newest_by_time(tmp_path):
    for age, name in enumerate(['iter_10.pth', 'iter_9.pth', 'best_PSNR_iter_9.pth', 'iter_200.pth', 'other.pth']):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 - age, 1000 - age))
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'iter_9.pth'))
    assert [path.name for path in list_checkpoints(tmp_path)] == ['iter_9.pth', 'iter_10.pth', 'iter_200.pth']


class FillDisk(Hook):
    """Leads the file in which the second checkpoint is written to a device that is always full."""

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if batch_idx == 1:
            (Path(runner.work_dir) / f'.iter_2.{os.getpid()}.partial.pth').symlink_to('/dev/full')


@pytest.mark.skipif(not Path('/dev/full').exists(), reason='no device /dev/full')
def test_a_full_disk_stops_the_run_with_a_sentence_and_leaves_the_last_good_checkpoint(tmp_path):
    keep = {'default_hooks.checkpoint.max_keep_ckpts': 1}
    with pytest.raises(
        CheckpointError, match=r'iteration 2 could not be written.*No space left.*last good one is .*iter_1\.pth'
    ):
        train_tiny(tmp_path, 3, 'full', [FillDisk()], **keep)
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_1.pth']
    assert not list(tmp_path.glob('.*'))
    runner = train_tiny(tmp_path, 3, 'room_again', **keep)
    assert runner.iter == 3
    assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_3.pth']


def test_the_best_checkpoint_is_removed_only_when_there_is_a_better_one(tmp_path):
    config = tiny('stage2', tmp_path, iters=2)
    config.train_cfg.val_interval = 1
    config.default_hooks.checkpoint.update(save_best='MAE', rule='greater', interval=100)
    config.experiment_name = 'best'
    seen = []

    class Watch(Hook):
        def before_save_checkpoint(self, runner, checkpoint):
            seen.append(sorted(path.name for path in tmp_path.glob('best*')))

    runner = Runner.from_cfg(config)
    runner.register_hook(Watch())
    runner.message_hub.update_info('best_score', -1.0)
    runner.train()
    best = [path.name for path in tmp_path.glob('best*.pth')]
    assert len(best) == 1
    # while a second one was written, the first was still there
    assert all(len(names) == 1 for names in seen[1:-1])


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / 'folder' / 'file.pth'
    AtomicBackend().put(b'first', path)
    (path.parent / f'.file.{os.getpid()}.partial.pth').symlink_to('/dev/full')
    with pytest.raises(OSError, match='No space left'):
        AtomicBackend().put(b'second', path)
    assert path.read_bytes() == b'first'
    assert os.listdir(path.parent) == ['file.pth']


def test_a_signal_hook_that_cannot_work_is_refused():
    with pytest.raises(ValueError, match='SaveOnSignalHook takes an interval'):
        SaveOnSignalHook(interval=0)


class Tell(Hook):
    """Tells the process to go, at a certain point of the run."""

    def __init__(self, point):
        setattr(self, point, self.tell)

    def tell(self, *args, **kwargs):
        os.kill(os.getpid(), signal.SIGTERM)


def test_signal_handlers_are_those_of_before_after_the_training_and_a_late_signal_changes_nothing(tmp_path):
    told = []

    def listen(*arguments):
        told.append(arguments)

    before = signal.signal(signal.SIGTERM, listen)
    try:
        # when everything is saved, and nobody else listens yet
        train_tiny(tmp_path, 1, 'handlers', [Tell('after_run')])
        assert signal.getsignal(signal.SIGTERM) is listen and not told
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize('checkpoint', [None, dict(type='AtomicCheckpointHook', by_epoch=True)])
def test_a_run_without_checkpoints_by_iteration_is_not_queued_again(checkpoint, tmp_path):
    with pytest.raises(SystemExit) as ended:
        train_tiny(
            tmp_path,
            2,
            f'no_saver_{checkpoint is None}',
            [Tell('after_train_iter')],
            resume=False,
            **{'default_hooks.checkpoint': checkpoint},
        )
    assert ended.value.code == 128 + signal.SIGTERM
    (log,) = tmp_path.glob('*/*.log')
    assert 'Nothing was saved' in log.read_text() and not list(tmp_path.glob('*.pth'))


@pytest.mark.slow
def test_train_py_says_what_stopped_it_in_a_sentence(tmp_path):
    train_tiny(tmp_path / 'work', 2, 'damaged_for_the_tool')
    for path in (tmp_path / 'work').glob('*.pth'):
        cut_off(path)
    tiny('stage1', tmp_path / 'work', 3).dump(tmp_path / 'config.py')
    done = subprocess.run(
        [warm.python(), ROOT / 'tools/train.py', tmp_path / 'config.py', '--resume'], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    assert re.search(r'train\.py: stopped: None of the checkpoints in .*work is whole', done.stderr)


def test_a_run_holds_its_work_directory_until_it_ends_or_fails(tmp_path, train_elsewhere):
    write_photos(tmp_path / 'photos', 4)
    lock, held = tmp_path / 'work' / LOCK, []

    class Look(Hook):
        def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
            held.append(lock.exists())
            if batch_idx == 1:
                raise ZeroDivisionError

    loader = dict(train_dataloader=dict(batch_size=2, num_workers=0))
    with pytest.raises(ZeroDivisionError):
        make_runner(tmp_path / 'work', tmp_path / 'photos', 4, 'held', hooks=[Look()], **loader).train()
    assert held == [True, True] and not lock.exists()
    process = train_elsewhere(lock).pid
    with pytest.raises(TrainingError, match=f'Process {process} on node7'):
        make_runner(tmp_path / 'work', tmp_path / 'photos', 4, 'second', **loader).train()
    assert len(held) == 2


class Trace(Hook):
    """Notes which photographs were trained on."""

    def __init__(self):
        self.names = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.names += [Path(sample.gt_path).name for sample in data_batch['data_samples']]


@pytest.mark.parametrize('sampler', ['InfiniteSampler', 'DefaultSampler'])
def test_batches_of_another_size_repeat_no_image_or_are_warned_of(tmp_path, sampler):
    write_photos(tmp_path / 'photos', 12)

    def train(iters, batch_size, folder='changed', **changes):
        trace, loader = Trace(), dict(batch_size=batch_size, num_workers=0, sampler=dict(type=sampler))
        name = f'{sampler}_{folder}_{iters}'
        options = dict(train_dataloader=loader, default_hooks=dict(checkpoint=dict(interval=1)))
        runner = make_runner(tmp_path / folder, tmp_path / 'photos', iters, name, hooks=[trace], **options, **changes)
        runner.train()
        # runs within one second share a log file
        log = Path(runner.log_dir) / f'{runner.timestamp}.log'
        lines = log.read_text().splitlines()
        log.write_text('')
        return trace.names, [line for line in lines if 'An iteration had' in line]

    undisturbed, _ = train(12, 2, 'whole')
    first, warned = train(3, 2)
    assert first == undisturbed[:6] and not warned
    second, (warned,) = train(4, 4, resume=True)
    assert 'had 2 images until iteration 3' in warned and 'has 4 from now on' in warned
    third, (again,) = train(6, 1, resume=True)
    assert 'had 4 images until iteration 4' in again
    same, warned_of_same = train(8, 1, resume=True)
    assert not warned_of_same
    if sampler == 'InfiniteSampler':
        assert first + second + third + same == undisturbed[:14]
        assert 'after the 6 images' in warned and 'after the 10 images' in again
    else:
        assert 'come twice, or not at all' in warned

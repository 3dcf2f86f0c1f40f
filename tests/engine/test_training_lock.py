"""One training in a work directory at a time."""

import json
import os
import subprocess
import sys
import threading
import time

import pytest

from cainet_mm.engine import TrainingError, training_lock
from cainet_mm.engine.training_lock import LOCK, process_key, training_in


@pytest.fixture
def other():
    """A process that is alive until the test ends."""
    with subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(training_lock, 'BEAT', 0.05)
    monkeypatch.setattr(training_lock, 'PATIENCE', 0.5)


def leave_lock(folder, process, key, host='node7'):
    lock = folder / LOCK
    lock.write_text(json.dumps(dict(host=host, process=process, key=key, since='2026-11-28 03:00:00 +0000')))
    return lock


def test_the_second_training_is_refused_in_a_sentence_that_names_the_first(tmp_path, other):
    lock = leave_lock(tmp_path, other.pid, process_key(other.pid))
    said = f'Process {other.pid} on node7 trains in {tmp_path} since 2026-11-28 03:00:00 .*another --work-dir'
    with pytest.raises(TrainingError, match=said), training_in(tmp_path):
        pass
    assert json.loads(lock.read_text())['process'] == other.pid


def test_what_a_process_that_has_ended_left_is_taken_over_and_removed_at_the_end(tmp_path, other):
    lock = leave_lock(tmp_path, other.pid, process_key(other.pid))
    other.kill()
    other.wait()
    began = time.monotonic()
    for error in (None, ZeroDivisionError, SystemExit, KeyboardInterrupt):
        try:
            with training_in(tmp_path):
                held = json.loads(lock.read_text())
                assert (held['process'], held['key']) == (os.getpid(), process_key(os.getpid()))
                if error is not None:
                    raise error
        except (ZeroDivisionError, SystemExit, KeyboardInterrupt):
            pass
        assert not lock.exists()
    assert time.monotonic() - began < 0.5  # nobody is waited for


def test_a_number_that_another_process_has_by_now_is_no_process_that_trains(tmp_path, other):
    leave_lock(tmp_path, other.pid, [*process_key(other.pid)[:2], '1'])
    with training_in(tmp_path):
        pass


@pytest.mark.parametrize('key', [['another boot', 'pid:[1]', '99'], None])
def test_of_another_machine_who_touches_the_lock_trains(tmp_path, key):
    # this machine may have that number, too
    lock = leave_lock(tmp_path, os.getpid(), key)
    timer = threading.Timer(0.2, os.utime, [lock])
    timer.start()
    with pytest.raises(TrainingError, match=f'Process {os.getpid()} on node7'), training_in(tmp_path):
        pass
    timer.join()
    with training_in(tmp_path):  # touched by nobody since
        assert json.loads(lock.read_text())['process'] == os.getpid()


@pytest.mark.parametrize('text', ['', '{"host": "no'])
def test_a_lock_without_a_name_is_watched_too(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    with training_in(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())['process'] == os.getpid()


def test_a_lock_is_touched_while_it_is_held_and_another_ones_is_left_alone(tmp_path):
    lock = tmp_path / LOCK
    with training_in(tmp_path):
        before = lock.stat().st_mtime_ns
        time.sleep(0.2)
        assert lock.stat().st_mtime_ns > before
        lock.unlink()
        leave_lock(tmp_path, 1, None)
        before = lock.stat().st_mtime_ns
        time.sleep(0.2)
        assert lock.stat().st_mtime_ns == before
    assert lock.exists()

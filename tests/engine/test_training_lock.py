"""One training in a work directory at a time."""

import json
import os

import pytest

from cainet_mm.engine import TrainingError
from cainet_mm.engine.training_lock import LOCK, refuse_second_training, training_in


def test_the_second_training_is_refused_in_a_sentence_that_names_the_first(tmp_path, train_elsewhere):
    process = train_elsewhere(tmp_path / LOCK).pid
    said = f'Process {process} on node7 trains in {tmp_path} since 2026-11-28 03:00:00 .*another --work-dir'
    with pytest.raises(TrainingError, match=said), training_in(tmp_path):
        pass
    with pytest.raises(TrainingError, match=said):
        refuse_second_training(tmp_path)
    assert json.loads((tmp_path / LOCK).read_text())['process'] == process


@pytest.mark.parametrize('text', ['{"host": "node7", "process": 1, "since": "yesterday"}', '', '{"host": "no'])
def test_what_a_process_that_has_ended_left_is_taken_over_and_removed_at_the_end(tmp_path, text):
    lock = tmp_path / LOCK
    lock.write_text(text)
    for error in (None, ZeroDivisionError, SystemExit, KeyboardInterrupt):
        refuse_second_training(tmp_path)
        try:
            with training_in(tmp_path):
                assert json.loads(lock.read_text())['process'] == os.getpid()
                if error is not None:
                    raise error
        except (ZeroDivisionError, SystemExit, KeyboardInterrupt):
            pass
        assert not lock.exists()


def test_a_killed_process_holds_nothing(tmp_path, train_elsewhere):
    process = train_elsewhere(tmp_path / LOCK)
    process.kill()
    process.wait()
    with training_in(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())['process'] == os.getpid()


def test_a_lock_that_has_not_been_written_yet_is_respected(tmp_path, train_elsewhere):
    train_elsewhere(tmp_path / LOCK, named=False)
    with pytest.raises(TrainingError, match='Another training begins'), training_in(tmp_path):
        pass


def test_another_ones_lock_is_left_alone(tmp_path):
    lock = tmp_path / LOCK
    with training_in(tmp_path):
        lock.unlink()
        lock.write_text('of another one')
    assert lock.read_text() == 'of another one'

"""The Python that tests call: called and signalled as the interpreter is, but it has imported already."""

import signal
import subprocess
import sys

import pytest
import warm
from conftest import ROOT

pytestmark = pytest.mark.skipif(not warm.STARTED, reason='there is no pidfd_open to start it with')


def call(python, *arguments, **options):
    done = subprocess.run([python, *map(str, arguments)], capture_output=True, text=True, **options)
    return done.returncode, done.stdout, done.stderr


def test_it_says_and_ends_with_what_the_interpreter_does(tmp_path):
    (tmp_path / 'script.py').write_text('import sys; print(sys.argv, __name__, __file__); sys.exit("no more")')
    code = 'import os, sys; print(sys.argv, os.getcwd(), os.environ["HOME"], sys.stdin.read()); sys.exit(75)'
    for arguments in (
        ('script.py', 1),
        ('-c', code, 'a', 'b'),
        ('-m', 'script', 2),
        ('-c', 'import os; os.abort()'),
        (ROOT / 'tools/train.py', 'absent.py'),
    ):
        options = dict(cwd=tmp_path, input='given', env=dict(HOME='here', PYTHONPATH=str(tmp_path)))
        assert call(warm.python(), *arguments, **options) == call(sys.executable, *arguments, **options), arguments


def test_it_has_imported_but_nothing_has_used_it():
    script = 'import os, sys; print("mmagic" in sys.modules, __import__("numpy").random.rand(), sys.executable)'
    answers = [call(warm.python(), '-c', script)[1].split() for _ in range(2)]
    assert answers[0][0] == answers[1][0] == 'True'
    assert answers[0][1] != answers[1][1]
    assert answers[0][2] == answers[1][2] == warm.python()


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_reaches_what_it_started(number):
    script = 'import os, time; print(os.getpid(), flush=True); time.sleep(100)'
    with subprocess.Popen([warm.python(), '-c', script], stdout=subprocess.PIPE) as process:
        assert process.pid != int(process.stdout.readline())
        process.send_signal(number)
        # until nobody can write into the pipe any more
        assert process.stdout.read() == b''
        assert process.wait(timeout=10) == -number

"""A Python that need not import: processes forked from one that has imported this package, and nothing else has used.

To import MMagic takes most of what a command line's test takes. ``start`` forks a process that waits; the program
``python()`` is called as the interpreter is, with a script, ``-c`` or ``-m``: it has the waiting process fork, hands
over its arguments, variables, directory and descriptors 0, 1 and 2, passes signals on, and ends as that process ends.
Pairs of processes, launchers and what tools start themselves, by ``sys.executable``, work as with the interpreter. What
concerns importing, or another package than this checkout's, needs ``sys.executable`` of the test; so does a torchrun
whose processes fail or are preempted, as it ended by SIGBUS here where it told the others to go.
"""

import atexit
import contextlib
import io
import json
import logging
import os
import runpy
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import threading
import traceback
import types
import warnings
from pathlib import Path

STUB = Path(__file__).with_name('warm_stub.py')
STARTED = []


def python():
    """The program that is called instead of the interpreter; that itself where ``start`` could do nothing."""
    return str(STARTED[0] / 'python') if STARTED else sys.executable


def start():
    """Fork the process that waits; gives a function that ends it."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        # no Linux, or one that is older than 5.3
        return lambda: None
    folder = Path(tempfile.mkdtemp(prefix='warm'))
    program = folder / 'python'
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -ISE "{STUB}" "{folder}/socket" "$@"\n')
    program.chmod(0o755)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f'{folder}/socket')
    listener.listen(64)
    mine, theirs = socket.socketpair()
    process = os.fork()
    if not process:
        mine.close()
        Waiting(listener, theirs, str(program)).run()
    listener.close()
    theirs.close()
    STARTED.append(folder)

    def stop():
        mine.send(b'.')
        # its time then counts among that of this process's children
        os.waitpid(process, 0)
        STARTED.clear()
        shutil.rmtree(folder, ignore_errors=True)

    return stop


class Waiting:
    """Forks a process for every request, until the owner goes."""

    def __init__(self, listener, owner, program):
        self.listener = listener
        self.program = program
        self.selector = selectors.DefaultSelector()
        self.selector.register(listener, selectors.EVENT_READ, self.accept)
        self.selector.register(owner, selectors.EVENT_READ, lambda: os._exit(0))

    def run(self):
        try:
            os.setsid()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            keep(self.listener.fileno(), self.selector.fileno(), *self.selector.get_map())
            while True:
                for key, _ in self.selector.select():
                    key.data()
        finally:
            os._exit(1)

    def accept(self):
        connection, _ = self.listener.accept()
        header, descriptors, *_ = socket.recv_fds(connection, 8, 3)
        request = b''
        while len(request) < int(header):
            request += connection.recv(65536)
        process = os.fork()
        if not process:
            become(json.loads(request), descriptors, self.program)
        for descriptor in descriptors:
            os.close(descriptor)
        ended = os.pidfd_open(process)
        connection.sendall(b'%8d' % process)

        def report():
            _, status = os.waitpid(process, 0)
            with contextlib.suppress(OSError):
                connection.sendall(b'%8d' % os.waitstatus_to_exitcode(status))
            for channel in (ended, connection):
                with contextlib.suppress(KeyError):
                    self.selector.unregister(channel)
            os.close(ended)
            connection.close()

        def caller_is_gone():
            if connection.fileno() < 0:
                return
            self.selector.unregister(connection)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

        self.selector.register(ended, selectors.EVENT_READ, report)
        self.selector.register(connection, selectors.EVENT_READ, caller_is_gone)


def keep(*descriptors):
    """Close all descriptors but these, and let 0, 1 and 2 lead nowhere."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    for entry in os.listdir('/proc/self/fd'):
        if int(entry) > 2 and int(entry) not in descriptors:
            with contextlib.suppress(OSError):
                os.close(int(entry))


def become(request, descriptors, program):
    """Be what an interpreter with these arguments would be, and end as it ends."""
    code = 1
    try:
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
        os.closerange(3, 1024)
        os.environ.clear()
        os.environ.update(request['variables'])
        os.chdir(request['folder'])
        prepare(program)
        run_main(request['arguments'])
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        if code and not isinstance(ended.code, int):
            print(ended.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            threading._shutdown()
            atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
        os._exit(code & 255)


def prepare(program):
    """What a new interpreter has anew: streams, signals, random numbers, a way to start others."""
    import numpy as np

    old = (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding='utf-8')
    sys.stdout, sys.stderr = (
        io.TextIOWrapper(
            io.BufferedWriter(io.FileIO(number, 'w', closefd=False)),
            encoding='utf-8',
            line_buffering=True,
            errors=errors,
        )
        for number, errors in ((1, 'strict'), (2, 'backslashreplace'))
    )
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr
    for logger in (logging.getLogger(), *logging.root.manager.loggerDict.values()):
        for handler in getattr(logger, 'handlers', ()):
            if getattr(handler, 'stream', None) in old:
                handler.setStream(sys.stdout if handler.stream in old[::2] else sys.stderr)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    np.random.seed()
    sys.executable = program
    if os.environ.get('PYTHONWARNINGS', '').startswith('ignore'):
        warnings.simplefilter('ignore')
    paths = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    sys.path[:0] = [path for path in paths if path]


def run_main(arguments):
    """Run a script, ``-c CODE`` or ``-m MODULE`` with its arguments."""
    while arguments[0] in ('-u', '-W'):
        if arguments[0] == '-W':
            warnings.simplefilter(arguments[1])
        arguments = arguments[1 + (arguments[0] == '-W') :]
    kind, *others = arguments
    if kind == '-m':
        sys.argv = others
        runpy.run_module(others[0], run_name='__main__', alter_sys=True)
        return
    module = sys.modules['__main__'] = types.ModuleType('__main__')
    if kind == '-c':
        sys.argv = ['-c', *others[1:]]
        sys.path.insert(0, '')
        code = compile(others[0], '<string>', 'exec')
    else:
        sys.argv = arguments
        module.__file__ = os.path.abspath(kind)
        sys.path.insert(0, str(Path(kind).resolve().parent))
        code = compile(Path(kind).read_bytes(), kind, 'exec')
    exec(code, vars(module))

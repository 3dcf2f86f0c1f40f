"""Called as ``python`` is: has the waiting process (see ``warm.py``) fork, and lives and ends as its fork does."""

import contextlib
import json
import os
import signal
import socket
import sys

# before the process is known, a signal waits
PASSED_ON = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT}
signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)
connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
request = dict(arguments=sys.argv[2:], variables=dict(os.environ), folder=os.getcwd())
content = json.dumps(request).encode()
socket.send_fds(connection, [b'%8d' % len(content)], [0, 1, 2])
connection.sendall(content)


def receive():
    """The number that comes next; without one the process is gone."""
    return int(connection.recv(8, socket.MSG_WAITALL) or 1)


def pass_on(number, frame):
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


process = receive()
for number in PASSED_ON:
    signal.signal(number, pass_on)
signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
code = receive()
if code < 0:
    if -code != signal.SIGKILL:
        signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)

"""torchrun, but for its exit code: where a run was preempted and saved a checkpoint, it is that of its processes.

torchrun itself ends with 1 then. A process of each machine leaves its code in a file (``note_exit_code``).
"""

import os
import signal
import sys
import tempfile
from pathlib import Path

from _command import REQUEUE_CODE
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

# of a preempted process: its own, and that of one whose handler was not set yet
PREEMPTED = (REQUEUE_CODE, -signal.SIGTERM, -signal.SIGUSR1)

with tempfile.TemporaryDirectory() as folder:
    note = Path(os.environ.setdefault('EXIT_CODE_FILE', str(Path(folder) / 'exit_code')))
    try:
        main()
    except (ChildFailedError, SignalException) as error:
        # torchrun terminates the others when one has failed, which then note that
        has_failed = isinstance(error, ChildFailedError) and error.get_first_failure()[1].exitcode not in PREEMPTED
        if has_failed or not note.exists() or note.read_text() != str(REQUEUE_CODE):
            raise
        sys.exit(REQUEUE_CODE)

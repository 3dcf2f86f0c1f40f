"""torchrun, but for its exit code: where a run was told to go and saved a checkpoint, it is that of its processes.

torchrun itself ends with 1 then. A process of each machine leaves its code in a file (``SaveOnSignalHook``).
"""

import os
import sys
import tempfile
from pathlib import Path

from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

with tempfile.TemporaryDirectory() as folder:
    note = Path(os.environ.setdefault('EXIT_CODE_FILE', str(Path(folder) / 'exit_code')))
    try:
        main()
    except (ChildFailedError, SignalException):
        if not note.exists():
            raise
    if note.exists():
        sys.exit(int(note.read_text()))

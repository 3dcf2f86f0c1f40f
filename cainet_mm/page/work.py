"""One computation at a time, and word of how far it is."""

import base64
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.model import BaseModel
from PIL import Image

from ..apis.inpainting import ScaleRecorder, inpaint
from ..apis.photo_files import Photo, image_of
from .models import Choice, load_choice
from .photos import encode, view_of, with_hole

# models in memory at once
LOADED = 4
# photographs in memory at once, besides the one that is being filled
WAITING = 4
# seconds between words to a page that waits, by which one that was closed is noticed
PULSE = 1.0


class BusyError(Exception):
    """As many photographs wait as may."""


class StoppedError(Exception):
    """Nobody waits for the result any more."""


@dataclass(eq=False)
class Task:
    """A photograph to be filled by several models.

    Attributes:
        photo: The photograph.
        hole: (H, W), true in the hole.
        choices: The models.
        refine: Whether large holes are filled again at finer scales.
        events: What is said about it, dicts with ``kind``.
        stop: Set when nobody listens any more.
    """

    photo: Photo
    hole: np.ndarray
    choices: Sequence[Choice]
    refine: bool
    events: queue.Queue = field(default_factory=queue.Queue)
    stop: threading.Event = field(default_factory=threading.Event)


class WatchedModel:
    """An inpaintor that counts the windows it fills, can be stopped between them, and keeps pictures of its scales.

    Args:
        model: The inpaintor.
        stop: Set when it shall stop.
        on_windows: Called with the number of windows filled so far.
    """

    def __init__(self, model: BaseModel, stop: threading.Event, on_windows: Callable[[int], None]) -> None:
        self.cfg: Config = model.cfg
        self.training = model.training
        self.recorder = ScaleRecorder(model)
        self.stop = stop
        self.on_windows = on_windows
        self.windows = 0

    def test_step(self, data: dict) -> list[DataSample]:
        """Predict, as the model does.

        Raises:
            StoppedError: It was to stop.
        """
        if self.stop.is_set():
            raise StoppedError
        predictions = self.recorder.test_step(data)
        self.windows += len(data['inputs'])
        self.on_windows(self.windows)
        return predictions


class Workbench:
    """Fills photographs one after the other, in the order in which they come, and keeps none of them.

    Args:
        device: Where the models are.
    """

    def __init__(self, device: str = 'cpu') -> None:
        self.device = device
        self.models: OrderedDict[str, BaseModel] = OrderedDict()
        self.worker = ThreadPoolExecutor(max_workers=1)
        self.lock = threading.Lock()
        self.tasks: list[Task] = []

    def submit(self, task: Task) -> Iterator[dict]:
        """Put a photograph behind those that wait.

        Returns:
            What is said about it, as it happens. Who no longer wants it sets the task's ``stop``.

        Raises:
            BusyError: Too many wait.
        """
        with self.lock:
            if len(self.tasks) > WAITING:
                raise BusyError(f'{len(self.tasks)} photographs are being filled or wait; try again in a while.')
            self.tasks.append(task)
        self.worker.submit(self.work, task)
        return self.listen(task)

    def listen(self, task: Task) -> Iterator[dict]:
        """Pass on what is said about a photograph, and how many are before it meanwhile."""
        event = None
        while event is None or event['kind'] != 'end':
            try:
                event = task.events.get(timeout=PULSE)
            except queue.Empty:
                with self.lock:
                    ahead = self.tasks.index(task) if task in self.tasks else 0
                event = dict(kind='wait', ahead=ahead)
            yield event

    def close(self) -> None:
        """Stop at the next window and give up what waits."""
        with self.lock:
            tasks = list(self.tasks)
        for task in tasks:
            task.stop.set()
        self.worker.shutdown()

    def work(self, task: Task) -> None:
        """Fill a photograph with every model that was chosen for it."""
        try:
            if not task.stop.is_set():
                view = view_of(task.photo, with_hole(task.photo, task.hole))
                task.events.put(dict(kind='input', view=text_of(view)))
            for choice in task.choices:
                self.fill(task, choice)
        except StoppedError:
            pass
        finally:
            with self.lock:
                self.tasks.remove(task)
            task.events.put(dict(kind='end'))

    def fill(self, task: Task, choice: Choice) -> None:
        """Fill a photograph with one model; what is wrong with that is said and keeps no other from its turn.

        Raises:
            StoppedError: Nobody waits for it.
        """

        def say(kind: str, **what) -> None:
            task.events.put(dict(kind=kind, key=choice.key, title=choice.title, source=choice.source, **what))

        if task.stop.is_set():
            raise StoppedError
        try:
            say('loading')
            model = WatchedModel(self.load(choice), task.stop, lambda count: say('filling', windows=count))
            say('filling', windows=0)
            start = time.perf_counter()
            pixels = inpaint(task.photo.pixels, task.hole, model=model, refine=task.refine)
            seconds = time.perf_counter() - start
            # as PNGs hold them: with EXIF data and colour profile, the pixels as they lay in the file
            whole = image_of(task.photo, pixels, task.photo.alpha)
            scales = model.recorder.pictures[1:]
            say(
                'result',
                seconds=round(seconds, 1),
                view=text_of(view_of(task.photo, pixels)),
                file=text_of(encode(whole, whole.info)),
                scales=[text_of(encode(Image.fromarray(scale))) for scale in scales],
            )
        except StoppedError:
            raise
        except Exception as error:  # a checkpoint or a config may be broken in any way, and the page lives on
            say('problem', sentence=' '.join(str(error).split()) or type(error).__name__)

    def load(self, choice: Choice) -> BaseModel:
        """Load a model, or take it from those that were used last."""
        model = self.models.pop(choice.key, None)
        if model is None:
            model = load_choice(choice, self.device)
        self.models[choice.key] = model
        while len(self.models) > LOADED:
            self.models.popitem(last=False)
        return model


def text_of(content: bytes) -> str:
    """Bytes as text for JSON."""
    return base64.b64encode(content).decode('ascii')

"""Filling photographs with models that stay loaded, unless nobody waits for the result any more."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.model import BaseModel

from ..evaluation.comparison import ScaleRecorder
from ..inference.image_io import Photo
from ..inference.inpainting import inpaint
from .models import Choice, load_choice

# models in memory at once
LOADED = 4


class StoppedError(Exception):
    """Nobody waits for the result."""


class Result(NamedTuple):
    """What a model makes of a photograph."""

    pixels: np.ndarray  # (H, W, 1) or (H, W, 3), of the photograph's size and type
    scales: list[np.ndarray]  # pictures of the model's scales, (H, W, 3), from the coarsest; empty without any
    seconds: float


class WatchedModel:
    """An inpaintor that counts the windows it fills, can be stopped between them, and keeps pictures of its scales.

    ``stop`` is set to stop it; ``on_windows`` is called with the number of windows filled so far.
    """

    def __init__(self, model: BaseModel, stop: threading.Event, on_windows: Callable[[int], None]) -> None:
        self.cfg: Config = model.cfg
        self.training = model.training
        self.recorder = ScaleRecorder(model)
        self.stop = stop
        self.on_windows = on_windows
        self.windows = 0

    def test_step(self, data: dict) -> list[DataSample]:
        """Predict, as the model does, unless it was stopped."""
        if self.stop.is_set():
            raise StoppedError
        predictions = self.recorder.test_step(data)
        self.windows += len(data['inputs'])
        self.on_windows(self.windows)
        return predictions


class Workbench:
    """Fills photographs on a device, one at a time, and keeps none of them."""

    def __init__(self, device: str = 'cpu') -> None:
        self.device = device
        self.lock = threading.Lock()
        self.models: OrderedDict[str, BaseModel] = OrderedDict()

    def fill(
        self,
        photo: Photo,
        hole: np.ndarray,
        choice: Choice,
        refine: bool,
        stop: threading.Event,
        on_windows: Callable[[int], None],
    ) -> Result:
        """Fill the hole, (H, W), in a photograph with one model; ``refine`` is as in :func:`inpaint`.

        Another thread sets ``stop`` when nobody waits for the result, which raises :class:`StoppedError`; other errors
        may be of any kind, as a checkpoint or a config may be broken in any way. ``on_windows`` is called with the
        number of windows filled so far.
        """
        with self.lock:  # the page and programs have queues of their own
            if stop.is_set():
                raise StoppedError
            model = WatchedModel(self.load(choice), stop, on_windows)
            start = time.perf_counter()
            pixels: Any = inpaint(photo.pixels, hole, model=model, refine=refine)
            return Result(pixels, model.recorder.pictures[1:], time.perf_counter() - start)

    def load(self, choice: Choice) -> BaseModel:
        """Load a model, or take it from those that were used last."""
        if choice.key not in self.models:
            self.models[choice.key] = load_choice(choice, self.device)
        self.models.move_to_end(choice.key)
        if len(self.models) > LOADED:
            self.models.popitem(last=False)
        return self.models[choice.key]

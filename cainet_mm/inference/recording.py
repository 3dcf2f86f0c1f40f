"""A model that keeps what its scales return."""

import numpy as np
from mmagic.structures import DataSample
from mmengine.model import BaseModel

from ..evaluation.comparison import recorded_scales, to_picture


class ScaleRecorder:
    """A model that keeps pictures of the first window it fills: its input, and its scales' outputs, coarsest first."""

    def __init__(self, model: BaseModel) -> None:
        self.model = model
        self.pictures: list[np.ndarray] = []

    def test_step(self, data: dict) -> list[DataSample]:
        """Predict, as the model does."""
        if self.pictures:
            return self.model.test_step(data)
        masked = data['inputs'][0].flip(0)
        with recorded_scales(self.model) as scales:
            predictions = self.model.test_step(data)
            self.pictures = [to_picture(masked), *(to_picture((images[0].float() + 1) * 127.5) for images in scales)]
        return predictions

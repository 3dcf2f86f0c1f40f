"""Pictures that are simple enough to know what belongs into a hole."""

import math

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomPlainPicture(BaseTransform):
    """Replaces a share of the training photographs by a flat colour, a linear gradient or a straight edge.

    Plain skies, walls and straight borders are rare in photographs of objects, but there people see a wrong colour
    first. From such pictures a network learns to leave them plain.

    Args:
        keys: Images of the results to replace, (H, W, 3), uint8; all by the same picture.
        prob: Share of the images that are replaced.
        edge_width: Range of the width of an edge, in pixels.

    Raises:
        ValueError: ``prob`` is outside [0, 1].
    """

    def __init__(self, keys: list[str], prob: float, edge_width: tuple[float, float] = (1.0, 4.0)) -> None:
        if not 0 <= prob <= 1:
            raise ValueError(f'RandomPlainPicture takes prob, a share of the images, from 0 to 1, got {prob}.')
        self.keys, self.prob, self.edge_width = list(keys), prob, tuple(edge_width)

    def transform(self, results: dict) -> dict:
        if np.random.rand() < self.prob:
            low, high = self.edge_width
            picture = draw_plain_picture(results[self.keys[0]].shape[:2], np.random.uniform(low, high))
            results.update({key: picture.copy() for key in self.keys})
        return results


def draw_plain_picture(size: tuple[int, int], edge_width: float) -> np.ndarray:
    """Draw two random colours, (H, W, 3), uint8: flat, with a gradient between them, or with an edge of a width."""
    first, second = np.random.uniform(0, 255, (2, 3))
    kind = np.random.choice(['flat', 'gradient', 'edge'], p=[0.2, 0.3, 0.5])
    if kind == 'flat':
        second = first
    height, width = size
    angle = np.random.uniform(0, 2 * math.pi)
    rows, columns = np.mgrid[:height, :width]
    # signed distance in pixels from a line near the middle
    distance = (rows - height * np.random.uniform(0.2, 0.8)) * math.sin(angle)
    distance = distance + (columns - width * np.random.uniform(0.2, 0.8)) * math.cos(angle)
    reach = math.hypot(height, width) if kind == 'gradient' else edge_width
    share = (distance / reach + 0.5).clip(0, 1)[..., None]
    return (first + share * (second - first)).round().astype(np.uint8)

"""Holes of several boxes."""

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS


@TRANSFORMS.register_module()
class DrawBoxes(BaseTransform):
    """Draws a mask of several boxes, as LaMa trains with; MMagic's ``LoadMask`` draws one.

    All numbers are drawn with equal probability from NumPy's global random state, as MMagic's masks are.

    Args:
        size: Height and width of the mask.
        count: The smallest and the largest number of boxes.
        side: The smallest and the largest side.
        margin: Pixels at the border that no box enters.

    Raises:
        ValueError: A range is empty, or there is no room for the smallest box.
    """

    def __init__(
        self,
        size: tuple[int, int],
        count: tuple[int, int] = (1, 4),
        side: tuple[int, int] = (30, 150),
        margin: int = 10,
    ) -> None:
        self.size, self.count, self.side, self.margin = tuple(size), tuple(count), tuple(side), margin
        room = min(self.size) - 2 * margin
        if not 1 <= count[0] <= count[1] or not 1 <= side[0] <= side[1] or side[0] > room:
            raise ValueError(
                'DrawBoxes takes count and side as (smallest, largest) from 1 up, and boxes that fit into the '
                f'{room} pixels between the margins; got count={self.count} and side={self.side}.'
            )

    def transform(self, results: dict) -> dict:
        """Add ``mask``, (H, W, 1), uint8, 1 in the hole. A side that is larger than the room is cut to it."""
        mask = np.zeros((*self.size, 1), np.uint8)
        for _ in range(np.random.randint(self.count[0], self.count[1] + 1)):
            place = []
            for length in self.size:
                room = length - 2 * self.margin
                side = min(np.random.randint(self.side[0], self.side[1] + 1), room)
                start = self.margin + np.random.randint(room - side + 1)
                place.append(slice(start, start + side))
            mask[tuple(place)] = 1
        results['mask'] = mask
        return results

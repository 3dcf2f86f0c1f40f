"""Pictures for people."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 4
HEADER = 22
LEGIBLE = 128


def write_montage(titles: Sequence[str], rows: Sequence[Sequence[np.ndarray]], path: Path) -> None:
    """Write images side by side, a row per photograph, with a title over each column.

    Smaller images, those of coarser scales, are enlarged to the row's size without smoothing, so their pixels show;
    photographs under 128 pixels are enlarged in the same way by a whole factor.

    Args:
        titles: Title of each column.
        rows: Images, (h, w, 3), uint8, RGB; the last one of a row gives the row its size.
        path: PNG to write; its folder is made.

    Raises:
        ValueError: There are no rows, or a row has not one image per title.
    """
    if not rows or any(len(row) != len(titles) for row in rows):
        raise ValueError(
            f'A montage of {len(titles)} columns needs rows of {len(titles)} images, got rows of '
            f'{[len(row) for row in rows]}.'
        )
    factor = max(1, LEGIBLE // max(min(row[-1].shape[:2]) for row in rows))
    sizes = [(row[-1].shape[1] * factor, row[-1].shape[0] * factor) for row in rows]
    column = max(width for width, _ in sizes)
    canvas = Image.new(
        'RGB',
        (len(titles) * (column + GAP) + GAP, HEADER + sum(height + GAP for _, height in sizes) + GAP),
        'white',
    )
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(12)
    for position, title in enumerate(titles):
        draw.text((GAP + position * (column + GAP) + column / 2, HEADER / 2), title, 'black', font, anchor='mm')
    top = HEADER
    for row, size in zip(rows, sizes, strict=True):
        for position, image in enumerate(row):
            picture = Image.fromarray(image).resize(size, Image.Resampling.NEAREST)
            canvas.paste(picture, (GAP + position * (column + GAP), top))
        top += size[1] + GAP
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.save(path)

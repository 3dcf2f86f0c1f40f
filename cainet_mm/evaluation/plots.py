"""Montages and plots of a comparison."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

GAP = 4
HEADER = 22
LEGIBLE = 128


def write_montage(titles: Sequence[str], rows: Sequence[Sequence[np.ndarray]], path: Path) -> None:
    """Write a montage, as :func:`make_montage` makes it, as PNG; its folder is made."""
    montage = make_montage(titles, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    montage.save(path)


def make_montage(titles: Sequence[str], rows: Sequence[Sequence[np.ndarray]]) -> Image.Image:
    """Put images side by side, a row per photograph, with a title over each column.

    Smaller images, those of coarser scales, are enlarged to the row's size without smoothing, so their pixels show;
    photographs under 128 pixels are enlarged in the same way by a whole factor.

    Args:
        titles: Title of each column.
        rows: Images, (h, w, 3), uint8, RGB; the last one of a row gives the row its size.

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
    height = HEADER + sum(height + GAP for _, height in sizes) + GAP
    canvas = Image.new('RGB', (len(titles) * (column + GAP) + GAP, height), 'white')
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
    return canvas


def border_window(hole: np.ndarray, share: float = 0.25, least: int = 16) -> tuple[slice, slice]:
    """Choose a square, its rows and columns, through whose middle the border of a hole, (H, W), runs.

    Its side is a share of the image's shorter one and has the least number of pixels, as far as the image has them.
    """
    # pixels of the hole with a known neighbour to the right or below, or the other way round
    across = np.zeros_like(hole)
    across[:, 1:] |= hole[:, 1:] != hole[:, :-1]
    across[1:] |= hole[1:] != hole[:-1]
    rows, columns = np.nonzero(across)
    centre = [length // 2 for length in hole.shape]
    if len(rows):
        centre = rows[len(rows) // 2], columns[len(rows) // 2]
    side = min(max(round(min(hole.shape) * share), least), *hole.shape)
    starts = [min(max(int(at) - side // 2, 0), length - side) for at, length in zip(centre, hole.shape, strict=True)]
    return slice(starts[0], starts[0] + side), slice(starts[1], starts[1] + side)


def write_plot(records: Sequence[dict], path: Path) -> None:
    """Plot the PSNR in the hole of composed images against the hole's size, by the records of ``summarise``.

    A panel for each kind of masks; the folder of the PNG is made.
    """
    # here, since it takes half a second that most of what imports this package has no use for
    from matplotlib.figure import Figure

    chosen = [entry for entry in records if entry['image'] == 'composed' and entry['figure'] == 'HolePSNR']
    kinds = list(dict.fromkeys(entry['masks'] for entry in chosen))
    methods = list(dict.fromkeys(entry['method'] for entry in chosen))
    sheet = Figure(figsize=(6.5 * max(len(kinds), 1), 4.5), layout='constrained')
    panels = sheet.subplots(1, max(len(kinds), 1), squeeze=False, sharey=True)[0]
    for panel, masks in zip(panels, kinds, strict=False):
        entries = [entry for entry in chosen if entry['masks'] == masks]
        holes = sorted({entry['holes'] for entry in entries}, key=lambda name: (name == 'all', name))
        for number, method in enumerate(methods):
            points = [entry for entry in entries if entry['method'] == method and math.isfinite(entry['mean'])]
            places = [holes.index(entry['holes']) + (number + 1) / (len(methods) + 1) - 0.5 for entry in points]
            means = [entry['mean'] for entry in points]
            below, above = (
                [abs(entry[end] - entry['mean']) if math.isfinite(entry[end]) else 0.0 for entry in points]
                for end in ('low', 'high')
            )
            style = dict(fmt='o', markersize=4, capsize=2, color=f'C{number}')
            panel.errorbar(places, means, yerr=(below, above), label=method, **style)
        panel.set_xticks(range(len(holes)), holes)
        panel.set_xlabel('share of the image that is hole')
        panel.set_title(f'{masks} masks')
        panel.grid(axis='y', alpha=0.3)
    panels[0].set_ylabel('PSNR in the hole [dB]')
    panels[-1].legend(fontsize='small', loc='upper left', bbox_to_anchor=(1, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.savefig(path, dpi=120)

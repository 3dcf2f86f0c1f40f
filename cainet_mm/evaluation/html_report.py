"""A comparison as one page for the browser: tables that sort, images to lay over each other."""

import base64
import io
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment
from PIL import Image

from .reports import KINDS_OF_IMAGE, cost_rows, difference_rows, metric_rows, range_rows, tables_in, with_interval

TEMPLATE = Path(__file__).with_name('report.html')
# longest side and WebP quality, tried in turn until all images together are below MOST_BYTES
QUALITIES = ((1024, 95), (1024, 85), (768, 80), (512, 75), (256, 70))
MOST_BYTES = 3_500_000


def write_html(report: Mapping, results: Mapping[str, Mapping], notes: Sequence[str], path: Path) -> None:
    """Write a comparison as a single file, which needs no other file and no network.

    Args:
        report: What ``report.json`` holds: ``data``, ``methods``, ``reference``, ``failures``, ``versions``,
            ``figures`` (see :func:`~cainet_mm.evaluation.reports.summarise`) and ``costs``.
        results: By kind of masks and then by method's name: results with ``pictures`` and ``images``.
        notes: Sentences over the tables.
        path: HTML file to write; its folder is made.
    """
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.from_string(TEMPLATE.read_text(encoding='utf-8')).render(
        report=report, notes=notes, sections=sections_of(report), costs=as_table(*cost_rows(report['costs'])),
        photographs=embed(photographs_of(results)),
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding='utf-8')


def sections_of(report: Mapping) -> list[dict]:
    """The tables of ``table.md``: for each kind of masks those of composed images, and those to unfold."""
    reference = report['reference']
    sections: dict[str, list] = {}
    for masks, image, over_all, by_range in tables_in(report['figures']):
        tables, title = sections.setdefault(masks, []), f'{image.capitalize()} images'
        rows = metric_rows(over_all, with_interval, report['failures'])
        tables.append((f'{title}: {KINDS_OF_IMAGE[image]}', as_table(*rows)))
        if differences := difference_rows(over_all, reference):
            what = f'{title}: difference to {reference} (bold: its interval excludes 0)'
            tables.append((what, as_table(*differences, best=False)))
        what = f'{title}: PSNR in the hole ↑ by the share that is hole (number of images)'
        tables.append((what, as_table(*range_rows(by_range), best=False)))
    return [dict(masks=masks, main=tables[0], others=tables[1:]) for masks, tables in sections.items()]


def as_table(header: Sequence[str], rows: Sequence[Sequence[str]], best: bool = True) -> dict:
    """Split the cells of a Markdown table, such as ``**1.50** (1.20 to 1.80)``, into number, interval and value.

    The first cell of a row is a name. With ``best``, that of a column whose heading ends with an arrow is marked.
    """
    body: list[list[Any]] = [[row[0], *(as_cell(text) for text in row[1:])] for row in rows]
    for column, heading in enumerate(header):
        cells = [row[column] for row in body if column and row[column]['value'] is not None]
        if best and heading[-1] in '↑↓' and len(cells) > 1:
            choose = max if heading.endswith('↑') else min
            value = choose(cell['value'] for cell in cells)
            for cell in cells:
                cell['best'] = cell['value'] == value
    return dict(header=header, rows=body)


def as_cell(text: str) -> dict:
    """A cell's number, interval, and value to sort by (``None`` without, and for NaN)."""
    number, _, interval = text.partition(' ')
    plain = number.strip('*')
    try:
        # JavaScript has another word for infinity
        value = None if math.isnan(float(plain)) else min(float(plain), sys.float_info.max)
    except ValueError:
        value = None
    return dict(number=plain, interval=interval, value=value, bold=plain != number, best=False)


def photographs_of(results: Mapping[str, Mapping]) -> list[dict]:
    """Each photograph of the montage under its masks, with its images: input, every method's answer, truth."""
    photographs = []
    for masks, methods in results.items():
        known = {
            method: {image.name: image.metrics.get('composed/HolePSNR') for image in result.images}
            for method, result in methods.items()
        }
        for index, pictures in enumerate(next(iter(methods.values())).pictures):
            shots = [dict(label='input', image=pictures.masked, psnr=None)]
            for method, result in methods.items():
                shot = result.pictures[index]
                shots.append(dict(label=method, image=shot.final, psnr=known[method].get(shot.name)))
            shots.append(dict(label='truth', image=pictures.truth, psnr=None))
            photographs.append(dict(name=pictures.name, masks=masks, shots=shots))
    return photographs


def embed(photographs: list[dict]) -> list[dict]:
    """Turn the photographs' images into data URIs, as good as there is room for."""
    shots = [shot for photograph in photographs for shot in photograph['shots']]
    for side, quality in QUALITIES:
        contents = [as_webp(shot['image'], side, quality) for shot in shots]
        if sum(map(len, contents)) <= MOST_BYTES:
            break
    for shot, content in zip(shots, contents, strict=True):
        shot['height'], shot['width'] = shot.pop('image').shape[:2]
        shot['source'] = f'data:image/webp;base64,{base64.b64encode(content).decode("ascii")}'
    return photographs


def as_webp(image: np.ndarray, side: int, quality: int) -> bytes:
    """Encode an image, (H, W, 3), uint8, RGB, scaled down where a side is longer than ``side``."""
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    content = io.BytesIO()
    picture.save(content, 'WebP', quality=quality)
    return content.getvalue()

"""What a comparison of methods writes: tables, and every figure for programs."""

import csv
import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from .statistics import Interval, mean_interval, paired_difference
from .tables import markdown_table

# the figures in the order of the tables: name, heading, decimals
FIGURES = (
    ('MAE', 'L1 error ↓', 4),
    ('PSNR', 'PSNR ↑', 2),
    ('SSIM', 'SSIM ↑', 4),
    ('LPIPS', 'LPIPS ↓', 4),
    ('FID', 'FID ↓', 2),
    ('HoleMAE', 'L1 error in hole ↓', 4),
    ('HolePSNR', 'PSNR in hole ↑', 2),
    ('HoleSSIM', 'SSIM in hole ↑', 4),
)
BUCKETS = ((0.0, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.4), (0.4, 0.5), (0.5, 1.0))
ALL_HOLES = 'all'
KINDS_OF_IMAGE = dict(composed='known pixels put back', raw="the network's own output everywhere")


def bucket_name(low: float, high: float) -> str:
    """Name a range of hole sizes."""
    return f'{low:.0%}-{high:.0%}'.replace('%-', '-')


def bucket_of(share: float) -> str:
    """The range that a hole's share of the image is in; a share at a limit is in the lower one."""
    return next(bucket_name(low, high) for low, high in BUCKETS if share <= high)


def summarise(results: Mapping[str, Mapping], reference: str | None) -> list[dict]:
    """Bring results down to one record for each figure of a method under one kind of masks and one range of holes.

    Args:
        results: By kind of masks and then by method's name: results with ``figures`` and ``images``.
        reference: The method that the others are compared with, image by image; ``None`` for no comparison.

    Returns:
        Records with ``masks``, ``holes``, ``method``, ``image``, ``figure``, ``images`` (how many), ``mean``, ``low``
        and ``high``, and ``difference``, ``difference_low`` and ``difference_high`` to the reference (NaN without).
    """
    records = []
    for masks, methods in results.items():
        for method, result in methods.items():
            rows = [image for image in result.images if image.hole_share > 0]
            ranges: dict[str, Sequence[int]] = {ALL_HOLES: range(len(rows))}
            for low, high in BUCKETS:
                name = bucket_name(low, high)
                ranges[name] = [index for index, image in enumerate(rows) if bucket_of(image.hole_share) == name]
            other = (
                [image for image in methods[reference].images if image.hole_share > 0] if reference in methods else None
            )
            for holes, indices in ranges.items():
                if not indices:
                    continue
                for name in rows[0].figures:
                    ours = [rows[index].figures[name] for index in indices]
                    difference = Interval(math.nan, math.nan, math.nan)
                    if other is not None and method != reference:
                        difference = paired_difference(ours, [other[index].figures[name] for index in indices])
                    records.append(record(masks, holes, method, name, len(indices), mean_interval(ours), difference))
            for name, value in result.figures.items():
                if rows and name not in rows[0].figures:  # figures of the whole test set, such as FID
                    nothing = Interval(math.nan, math.nan, math.nan)
                    interval = Interval(value, math.nan, math.nan)
                    records.append(record(masks, ALL_HOLES, method, name, len(rows), interval, nothing))
    return records


def record(
    masks: str, holes: str, method: str, name: str, count: int, interval: Interval, difference: Interval
) -> dict:
    """One figure of a method; ``name`` is ``image/figure``, such as ``raw/PSNR``."""
    image, figure = name.split('/')
    return dict(
        masks=masks,
        holes=holes,
        method=method,
        image=image,
        figure=figure,
        images=count,
        **interval._asdict(),
        difference=difference.mean,
        difference_low=difference.low,
        difference_high=difference.high,
    )


def write_report(
    records: Sequence[dict],
    failures: Mapping[str, str],
    notes: Sequence[str],
    folder: Path,
    reference: str | None = None,
) -> str:
    """Write ``table.md``, for people, and ``table.csv``, which has everything in full precision.

    Args:
        records: What :func:`summarise` returns.
        failures: What went wrong, by the method's name.
        notes: Sentences over the tables.
        folder: Where they go; it is made.
        reference: The method of the differences.

    Returns:
        The tables of composed images over all holes, means alone, for the terminal.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / 'table.csv', 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(records[0]) if records else ['method'])
        writer.writeheader()
        writer.writerows(records)
    sentences = [f'{method} failed: {sentence}\n' for method, sentence in failures.items()]
    shown, parts = [], ['# Comparison\n', *(f'{note}\n' for note in notes), *sentences]
    for masks in dict.fromkeys(entry['masks'] for entry in records):
        for image, meaning in KINDS_OF_IMAGE.items():
            chosen = [entry for entry in records if (entry['masks'], entry['image']) == (masks, image)]
            over_all = [entry for entry in chosen if entry['holes'] == ALL_HOLES]
            parts.append(f'## {masks.capitalize()} masks, {image} images ({meaning})\n')
            parts.append(markdown_table(*figure_rows(over_all, with_interval, failures)))
            if image == 'composed':
                shown.append(f'{masks} masks\n{markdown_table(*figure_rows(over_all, plain, failures))}')
            if reference is not None and any(not math.isnan(entry['difference']) for entry in over_all):
                parts.append(f'Difference to {reference} on the same images (bold: its interval excludes 0)\n')
                parts.append(markdown_table(*figure_rows(over_all, as_difference, (), leave_out=(reference, 'FID'))))
            parts.append('PSNR in the hole, by the share of the image that is hole (number of images)\n')
            parts.append(markdown_table(*bucket_rows([entry for entry in chosen if entry['figure'] == 'HolePSNR'])))
    (folder / 'table.md').write_text('\n'.join(parts), encoding='utf-8')
    return '\n'.join(shown)


def plain(entry: dict, digits: int) -> str:
    """The mean."""
    return f'{entry["mean"]:.{digits}f}'


def with_interval(entry: dict, digits: int) -> str:
    """The mean and, where there is one, its interval."""
    if math.isnan(entry['low']):
        return plain(entry, digits)
    return f'{entry["mean"]:.{digits}f} ({entry["low"]:.{digits}f} to {entry["high"]:.{digits}f})'


def as_difference(entry: dict, digits: int) -> str:
    """The difference to the reference and its interval, bold where that excludes zero."""
    if math.isnan(entry['difference']):
        return ''
    text = f'{entry["difference"]:+.{digits}f}'
    if math.isnan(entry['difference_low']):
        return text
    if entry['difference_low'] > 0 or entry['difference_high'] < 0:
        text = f'**{text}**'
    return f'{text} ({entry["difference_low"]:+.{digits}f} to {entry["difference_high"]:+.{digits}f})'


def figure_rows(
    records: Sequence[dict],
    cell: Callable[[dict, int], str],
    failures: Collection[str],
    leave_out: Sequence[str | None] = (),
) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per method, those that failed included, with a column per figure."""
    columns = [
        column
        for column in FIGURES
        if column[0] not in leave_out and any(entry['figure'] == column[0] for entry in records)
    ]
    cells = {(entry['method'], entry['figure']): entry for entry in records}
    rows = []
    for method in dict.fromkeys(entry['method'] for entry in records):
        if method not in leave_out:
            entries = [(cells.get((method, name)), digits) for name, _, digits in columns]
            rows.append([method, *('' if entry is None else cell(entry, digits) for entry, digits in entries)])
    rows += [[method, 'failed', *[''] * (len(columns) - 1)][: len(columns) + 1] for method in failures]
    return ['method', *(heading for _, heading, _ in columns)], rows


def bucket_rows(records: Sequence[dict]) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per method with a column per range of hole sizes that occurs."""
    names = [bucket_name(low, high) for low, high in BUCKETS]
    counts = {entry['holes']: entry['images'] for entry in records}
    columns = [name for name in names if name in counts]
    cells = {(entry['method'], entry['holes']): entry for entry in records}
    rows = [
        [method, *(with_interval(cells[method, name], 2) if (method, name) in cells else '' for name in columns)]
        for method in dict.fromkeys(entry['method'] for entry in records)
    ]
    return ['method', *(f'{name} ({counts[name]})' for name in columns)], rows


def write_costs(costs: Mapping[str, Mapping[str, Any]], folder: Path) -> str:
    """Write ``costs.md`` and ``costs.csv``: what each method's answer to one image takes.

    Args:
        costs: By the method's name: ``parameters``, ``multiply_adds``, ``milliseconds`` and ``size``.
        folder: Where they go.

    Returns:
        The Markdown table.
    """
    with open(folder / 'costs.csv', 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow(['method', 'parameters', 'multiply_adds', 'milliseconds', 'height', 'width'])
        writer.writerows(
            [name, cost['parameters'], cost['multiply_adds'], cost['milliseconds'], *cost['size']]
            for name, cost in costs.items()
        )
    table = markdown_table(*cost_rows(costs))
    (folder / 'costs.md').write_text(table, encoding='utf-8')
    return table


def cost_rows(costs: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Headings, and a row per method with what its answer to one image takes."""
    rows = [
        [
            name,
            f'{cost["parameters"] / 1e6:.2f}' if cost['parameters'] else '-',
            f'{cost["multiply_adds"] / 1e9:.2f}' if cost['parameters'] else '-',
            f'{cost["milliseconds"]:.1f}',
        ]
        for name, cost in costs.items()
    ]
    return ['method', 'million parameters', 'giga multiply-adds', 'ms per image'], rows


def write_images(results: Mapping[str, Mapping], path: Path) -> None:
    """Write every figure of every image as CSV: a row for each image of a method under one kind of masks."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = None
        for masks, methods in results.items():
            for method, result in methods.items():
                for image in result.images:
                    row = dict(masks=masks, method=method, image=image.name, hole_share=image.hole_share)
                    row.update(image.figures)
                    if writer is None:
                        writer = csv.DictWriter(file, list(row))
                        writer.writeheader()
                    writer.writerow(row)


def write_json(content: Mapping, path: Path) -> None:
    """Write JSON; NaN and infinity, which JSON lacks, become null."""

    def clean(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: clean(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [clean(entry) for entry in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    path.write_text(json.dumps(clean(content), indent=2, ensure_ascii=False) + '\n', encoding='utf-8')

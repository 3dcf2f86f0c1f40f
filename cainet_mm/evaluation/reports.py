"""What a comparison of methods writes: tables, and every metric for programs."""

import csv
import json
import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .statistics import Interval, mean_interval, paired_difference
from .tables import markdown_table

# the metrics in the order of the tables: name, heading, decimals
COLUMNS = (
    ('MAE', 'L1 error ↓', 4),
    ('PSNR', 'PSNR ↑', 2),
    ('SSIM', 'SSIM ↑', 4),
    ('LPIPS', 'LPIPS ↓', 4),
    ('FID', 'FID ↓', 2),
    ('HoleMAE', 'L1 error in hole ↓', 4),
    ('HolePSNR', 'PSNR in hole ↑', 2),
    ('HoleSSIM', 'SSIM in hole ↑', 4),
)
# ranges of the hole's share of the image, and their upper limits, which belong to them
HOLE_RANGES = {'0-10%': 0.1, '10-20%': 0.2, '20-30%': 0.3, '30-40%': 0.4, '40-50%': 0.5, '50-100%': 1.0}
ALL_HOLES = 'all'
KINDS_OF_IMAGE = dict(composed='known pixels put back', raw="the network's own output everywhere")

Table = tuple[list[str], list[list[str]]]


def hole_range_of(share: float) -> str:
    """The range that a hole's share of the image is in."""
    return next(name for name, limit in HOLE_RANGES.items() if share <= limit)


def summarise(results: Mapping[str, Mapping], reference: str | None) -> list[dict]:
    """Bring results down to one record for each metric of a method under one kind of masks and one range of holes.

    Args:
        results: By kind of masks and then by method's name: results with ``metrics`` and ``images``.
        reference: The method that the others are compared with, image by image; ``None`` for no comparison.

    Returns:
        Records with ``masks``, ``holes``, ``method``, ``image``, ``figure`` (the metric), ``images`` (how many),
        ``mean``, ``low`` and ``high``, and ``difference``, ``difference_low`` and ``difference_high`` to the reference
        (NaN without).
    """
    records = []
    for masks, methods in results.items():
        with_hole = {name: [image for image in one.images if image.hole_share > 0] for name, one in methods.items()}
        for method, result in methods.items():
            rows, other = with_hole[method], None if method == reference else with_hole.get(reference)
            ranges: dict[str, list[int]] = {ALL_HOLES: [*range(len(rows))], **{name: [] for name in HOLE_RANGES}}
            for index, image in enumerate(rows):
                ranges[hole_range_of(image.hole_share)].append(index)
            for holes, indices in ranges.items():
                for name in rows[0].metrics if indices else ():
                    ours = [rows[index].metrics[name] for index in indices]
                    theirs = other and [other[index].metrics[name] for index in indices]
                    photos = [rows[index].photo or rows[index].name for index in indices]
                    difference = paired_difference(ours, theirs, photos=photos) if theirs else Interval()
                    interval = mean_interval(ours, photos=photos)
                    records.append(record(masks, holes, method, name, len(indices), interval, difference))
            for name, value in result.metrics.items():
                if rows and name not in rows[0].metrics:  # those of the whole test set, such as FID
                    records.append(record(masks, ALL_HOLES, method, name, len(rows), Interval(value), Interval()))
    return records


def record(
    masks: str, holes: str, method: str, name: str, count: int, interval: Interval, difference: Interval
) -> dict:
    """One metric of a method; ``name`` is ``image/metric``, such as ``raw/PSNR``."""
    image, metric = name.split('/')
    return dict(
        masks=masks,
        holes=holes,
        method=method,
        image=image,
        figure=metric,
        images=count,
        **interval._asdict(),
        difference=difference.mean,
        difference_low=difference.low,
        difference_high=difference.high,
    )


def tables_in(records: Sequence[dict]) -> Iterator[tuple[str, str, list[dict], list[dict]]]:
    """For each kind of masks and of images: the records over all holes, and those of the PSNR in the hole."""
    for masks in dict.fromkeys(entry['masks'] for entry in records):
        for image in KINDS_OF_IMAGE:
            chosen = [entry for entry in records if (entry['masks'], entry['image']) == (masks, image)]
            over_all = [entry for entry in chosen if entry['holes'] == ALL_HOLES]
            yield masks, image, over_all, [entry for entry in chosen if entry['figure'] == 'HolePSNR']


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
    write_csv(records, folder / 'table.csv')
    reasons = [f'{method} failed: {reason}\n' for method, reason in failures.items()]
    shown, parts = [], ['# Comparison\n', *(f'{note}\n' for note in notes), *reasons]
    for masks, image, over_all, by_range in tables_in(records):
        parts.append(f'## {masks.capitalize()} masks, {image} images ({KINDS_OF_IMAGE[image]})\n')
        parts.append(markdown_table(*metric_rows(over_all, with_interval, failures)))
        if image == 'composed':
            shown.append(f'{masks} masks\n{markdown_table(*metric_rows(over_all, plain, failures))}')
        if differences := difference_rows(over_all, reference):
            parts.append(f'Difference to {reference} on the same images (bold: its interval excludes 0)\n')
            parts.append(markdown_table(*differences))
        parts.append('PSNR in the hole, by the share of the image that is hole (number of images)\n')
        parts.append(markdown_table(*range_rows(by_range)))
    (folder / 'table.md').write_text('\n'.join(parts), encoding='utf-8')
    return '\n'.join(shown)


def plain(entry: dict, digits: int) -> str:
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


def metric_rows(
    records: Sequence[dict],
    cell: Callable[[dict, int], str],
    failures: Collection[str] = (),
    leave_out: Sequence[str | None] = (),
) -> Table:
    """Headings, and a row per method, those that failed included, with a column per metric."""
    known = {entry['figure'] for entry in records}.difference(leave_out)
    columns = [column for column in COLUMNS if column[0] in known]
    cells = {(entry['method'], entry['figure']): entry for entry in records}
    rows = []
    for method in dict.fromkeys(entry['method'] for entry in records):
        if method not in leave_out:
            entries = [(cells.get((method, name)), digits) for name, _, digits in columns]
            rows.append([method, *('' if entry is None else cell(entry, digits) for entry, digits in entries)])
    rows += [[method, 'failed', *[''] * (len(columns) - 1)][: len(columns) + 1] for method in failures]
    return ['method', *(heading for _, heading, _ in columns)], rows


def difference_rows(records: Sequence[dict], reference: str | None) -> Table | None:
    """Headings, and a row per method with its differences to the reference; ``None`` where there are none."""
    if all(math.isnan(entry['difference']) for entry in records):
        return None
    return metric_rows(records, as_difference, leave_out=(reference, 'FID'))


def range_rows(records: Sequence[dict]) -> Table:
    """Headings, and a row per method with a column per range of hole sizes that occurs."""
    counts = {entry['holes']: entry['images'] for entry in records}
    columns = [name for name in HOLE_RANGES if name in counts]
    cells = {(entry['method'], entry['holes']): entry for entry in records}
    rows = [
        [method, *(with_interval(cells[method, name], 2) if (method, name) in cells else '' for name in columns)]
        for method in dict.fromkeys(entry['method'] for entry in records)
    ]
    return ['method', *(f'{name} ({counts[name]})' for name in columns)], rows


def write_costs(costs: Mapping[str, Mapping[str, Any]], folder: Path) -> str:
    """Write ``costs.md`` and ``costs.csv``: the fields of each method's :class:`Cost`; returns the Markdown table."""
    keys = ('parameters', 'multiply_adds', 'milliseconds')
    rows = [
        dict(method=name, **{key: cost[key] for key in keys}, height=cost['size'][0], width=cost['size'][1])
        for name, cost in costs.items()
    ]
    write_csv(rows, folder / 'costs.csv')
    table = markdown_table(*cost_rows(costs))
    (folder / 'costs.md').write_text(table, encoding='utf-8')
    return table


def cost_rows(costs: Mapping[str, Mapping[str, Any]]) -> Table:
    """Headings, and a row per method with what its answer to one image takes."""
    rows = [
        [
            name,
            f'{cost["parameters"] / 1e6:.2f}' if cost['parameters'] else '-',
            f'{cost["multiply_adds"] / 1e9:.2f}' if cost['parameters'] else '-',
            f'{cost["milliseconds"]:.1f}',
            '{}x{}'.format(*cost['size']),
        ]
        for name, cost in costs.items()
    ]
    return ['method', 'million parameters', 'giga multiply-adds', 'ms per image', 'height x width'], rows


def write_images(results: Mapping[str, Mapping], path: Path) -> None:
    """Write every metric of every image as CSV: a row for each image of a method under one kind of masks."""
    rows = [
        dict(masks=masks, method=method, image=image.name, hole_share=image.hole_share, **image.metrics)
        for masks, methods in results.items()
        for method, result in methods.items()
        for image in result.images
    ]
    write_csv(rows, path)


def write_csv(rows: Sequence[Mapping], path: Path) -> None:
    """Write rows of the same keys, which are the headings."""
    with open(path, 'w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def write_json(content: Mapping, path: Path) -> None:
    """Write JSON; NaN and infinity, which JSON lacks, become null."""

    def clean(value: object) -> object:
        if isinstance(value, Mapping):
            return {key: clean(entry) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            return [clean(entry) for entry in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    path.write_text(json.dumps(clean(content), indent=2, ensure_ascii=False) + '\n', encoding='utf-8')

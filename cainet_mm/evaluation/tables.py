"""Tables for people and for programs."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_tables(rows: Mapping[str, Mapping[str, float]], stem: Path, first: str = 'method', digits: int = 4) -> str:
    """Write rows of figures as Markdown (``stem``.md) and, in full precision, as CSV (``stem``.csv).

    Args:
        rows: The figures of each row by their names; a figure that a row lacks is left blank.
        stem: Path without ending; its folder is made.
        first: Heading of the first column.
        digits: Decimals in the Markdown table.

    Returns:
        The Markdown table.
    """
    names = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    stem.parent.mkdir(parents=True, exist_ok=True)
    with open(stem.with_suffix('.csv'), 'w', newline='', encoding='utf-8') as file:
        writer = csv.writer(file)
        writer.writerow([first, *names])
        writer.writerows([title, *(figures.get(name, '') for name in names)] for title, figures in rows.items())
    table = markdown_table(
        [first, *names],
        [
            [title, *(f'{figures[name]:.{digits}f}' if name in figures else '' for name in names)]
            for title, figures in rows.items()
        ],
    )
    stem.with_suffix('.md').write_text(table, encoding='utf-8')
    return table


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table whose columns are also aligned for the eye; the first column is text, the rest figures."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f'| {" | ".join(padded)} |'

    rule = [('-' * (width - 1) + ':') if column else '-' * width for column, width in enumerate(widths)]
    return '\n'.join([line(header), line(rule), *(line(row) for row in rows)]) + '\n'

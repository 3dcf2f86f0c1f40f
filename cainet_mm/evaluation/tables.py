"""Tables for people."""

from collections.abc import Sequence


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Write a Markdown table whose columns are also aligned for the eye; the first column is text, the rest numbers."""
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        )
        return f'| {" | ".join(padded)} |'

    rule = [('-' * (width - 1) + ':') if column else '-' * width for column, width in enumerate(widths)]
    return '\n'.join([line(header), line(rule), *(line(row) for row in rows)]) + '\n'

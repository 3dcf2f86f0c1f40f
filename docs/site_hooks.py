"""Hooks of mkdocs.yml: the READMEs of configs are pages, links are those of the repository, formulas are MathML."""

import html
import posixpath
import re
from pathlib import Path

from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r'(?<!!)\[([^\]]+)\]\((?!\w+:)([^)#\s]*)(#[^)\s]*)?\)')
FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files, config):
    """Add the READMEs of configs/ under their own names."""
    for path in sorted((ROOT / 'configs').rglob('README.md')):
        files.append(File.generated(config, path.relative_to(ROOT).as_posix(), abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Bring links between files of the repository to the site; those to files that are no pages become plain text."""
    name = page.file.src_uri
    folder = posixpath.dirname(name if name.startswith('configs/') else f'docs/{name}')

    def bring(link):
        text, path, anchor = link.groups()
        if not path:
            return link[0]
        target = posixpath.normpath(posixpath.join(folder, path))
        page_name = {'README.md': 'index.md'}.get(target, target.removeprefix('docs/'))
        if not (ROOT / target).exists():
            return link[0]  # mkdocs says so
        if files.get_file_from_path(page_name) is None:
            return text
        anchor = '' if target == 'README.md' else anchor or ''
        return f'[{text}]({posixpath.relpath(page_name, posixpath.dirname(name) or ".")}{anchor})'

    return ''.join(part if part.startswith('```') else LINK.sub(bring, part) for part in split_fences(markdown))


def split_fences(markdown):
    """Text and fenced code in turn."""
    return re.split(r'(^```.*?^```)', markdown, flags=re.DOTALL | re.MULTILINE)


def on_page_content(content, page, config, files):
    """Write formulas as MathML, which browsers show without a script."""

    def write(formula):
        _, kind, text = formula.groups()
        return convert(html.unescape(text).strip(), display='block' if kind == '[' else 'inline')

    return FORMULA.sub(write, content)

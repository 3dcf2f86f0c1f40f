"""Docstrings as Markdown: their roles and math blocks are reStructuredText, which Sphinx and IDEs read."""

import re

import griffe

ROLE = re.compile(r':(math|class|meth|func|mod|attr|obj):`([^`]+)`')
BLOCK = re.compile(r'^\.\. math::(?: +(.+)|\n((?:[ ]+.*\n?|\n(?=[ ]))+))', re.MULTILINE)


def to_markdown(text: str) -> str:
    """Turn ``.. math::`` and roles into what arithmatex and Markdown take."""

    def block(match):
        formula = '\n'.join(line.strip() for line in (match[1] or match[2]).strip().splitlines())
        if '&' in formula and 'begin' not in formula:
            # Sphinx does the same; latex2mathml knows no "aligned"
            formula = f'\\begin{{split}}{formula}\\end{{split}}'
        return f'$$\n{formula}\n$$\n'

    def role(match):
        kind, content = match.groups()
        return f'${content}$' if kind == 'math' else f'`{content.lstrip("~")}`'

    return ROLE.sub(role, BLOCK.sub(block, text))


class Formulas(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_instance(self, *, obj, **kwargs):
        """Called for every module, class, function and attribute that was read."""
        if obj.docstring:
            obj.docstring.value = to_markdown(obj.docstring.value)

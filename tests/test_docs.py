"""README, docs/ and the READMEs of configs/: their links hold, the files that they name exist, the site builds."""

import importlib.util
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md')), *sorted((ROOT / 'configs').rglob('README.md'))]
TEXTS = {path: path.read_text(encoding='utf-8') for path in PAGES}


def anchors(path):
    """Those that GitHub and the site give the headings of a page."""
    text = re.sub(r'^```.*?^```', '', TEXTS[path], flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r'^#+ (.+)$', text, re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_and_pictures_lead_somewhere(path):
    text = re.sub(r'^```.*?^```', '', TEXTS[path], flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r'\]\((?!\w+:)([^)\s]+)\)', text):
        name, _, anchor = link.partition('#')
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        if target.name == 'reference.md' and anchor:
            assert f'::: {anchor}\n' in TEXTS[target], link
        elif anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_that_it_names_exist(path):
    named = re.findall(r'(?<![\w/.])(?:tools|configs|requirements|docs)/[\w./-]+\.(?:py|sh|txt|md|yml)', TEXTS[path])
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_every_page_is_in_the_site_s_contents():
    contents = (ROOT / 'mkdocs.yml').read_text(encoding='utf-8')
    listed = re.findall(r'^ +- (?:\w+: )?([\w/.-]+\.md)$', contents, re.MULTILINE)
    found = [path.relative_to(ROOT).as_posix().removeprefix('docs/') for path in PAGES[1:]]
    assert sorted(listed) == sorted(found)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    if importlib.util.find_spec('mkdocs') is None:
        pytest.skip('needs MkDocs: pip install -r requirements/docs.txt')
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '-d', str(tmp_path)]
    environment = dict(os.environ, NO_MKDOCS_2_WARNING='1')
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment)
    assert run.returncode == 0, run.stderr
    reference = (tmp_path / 'reference.html').read_text(encoding='utf-8')
    assert 'id="cainet_mm.models.fusions.DualAttentionFusion"' in reference
    assert '<math' in reference
    # neither reStructuredText nor unfinished formulas are left
    assert not re.search(r'\.\. math::|:(?:math|class|meth):|class="arithmatex"|<mi>&</mi>', reference)

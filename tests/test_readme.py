"""What the README says of the parts, the examples and the files holds."""

import re

import pytest
from conftest import ROOT
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

import cainet_mm.datasets
import cainet_mm.engine
import cainet_mm.evaluation
import cainet_mm.models
from cainet_mm.apis.models import without_pretrained

README = (ROOT / 'README.md').read_text(encoding='utf-8')
EXAMPLES = re.findall(r'```python\n(.*?)```', README, re.DOTALL)


def test_every_part_is_in_the_table_and_nothing_else():
    rows = [line.split('|')[1] for line in README.splitlines() if line.startswith('| `')]
    named = {name for row in rows for name in re.findall(r'`(\w+)`', row)}
    packages = (cainet_mm.models, cainet_mm.datasets, cainet_mm.engine, cainet_mm.evaluation)
    public = {name for package in packages for name in package.__all__}
    # functions and errors are no parts
    parts = {name for name in public if name[0].isupper() and not name.endswith('Error')}
    assert named == parts


@pytest.mark.parametrize('number', range(len(EXAMPLES)))
def test_examples_build(number, tmp_path):
    path = tmp_path / 'example.py'
    path.write_text(EXAMPLES[number], encoding='utf-8')
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    assert isinstance(MODELS.build(without_pretrained(config.model)), nn.Module)


def test_files_that_it_names_exist():
    paths = re.findall(r'\]\((?!http)([^)#]+)\)', README)
    paths += re.findall(r'\b(?:tools|configs|requirements)/[\w./-]+\.(?:py|sh|txt|md)', README)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []

"""What the README says of the parts, the examples and the files holds."""

import re

import pytest
import torch
from conftest import ROOT
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import cainet_mm.datasets
import cainet_mm.engine
import cainet_mm.evaluation
import cainet_mm.models

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
def test_examples_run(number, tmp_path):
    """Those with data are trained for an iteration, the others are asked."""
    path = tmp_path / 'example.py'
    path.write_text(EXAMPLES[number], encoding='utf-8')
    config = Config.fromfile(path)
    if 'train_dataloader' not in config:
        init_default_scope(config.default_scope)
        assert MODELS.build(config.model).eval()(torch.rand(2, 3, 64, 64)).isfinite().all()
        return
    config.update(work_dir=str(tmp_path), experiment_name=f'example_{number}')
    config.train_dataloader.batch_size = 2
    config.train_cfg.max_iters = 1
    config.default_hooks.checkpoint.interval = 1
    for name in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        config.pop(name, None)
    if 'head' in config.model:
        config.model.queue_len = 8
    runner = Runner.from_cfg(config)
    start = {name: weight.detach().clone() for name, weight in runner.model.named_parameters()}
    runner.train()
    assert any(not torch.equal(start[name], weight) for name, weight in runner.model.named_parameters())
    assert (tmp_path / 'iter_1.pth').is_file()


def test_there_are_five_examples():
    assert len(EXAMPLES) == 5


def test_files_that_it_names_exist():
    paths = re.findall(r'\]\((?!http)([^)#]+)\)', README)
    paths += re.findall(r'\b(?:tools|configs|requirements)/[\w./-]+\.(?:py|sh|txt|md)', README)
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []

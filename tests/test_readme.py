"""What the README and docs/ say of the parts, the examples and the files holds."""

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


def read(name):
    return (ROOT / name).read_text(encoding='utf-8')


def find_examples(name):
    return re.findall(r'```python\n(.*?)```', read(name), re.DOTALL)


EXAMPLES = find_examples('docs/extending.md')


def named_parts():
    rows = [line.split('|')[1] for line in read('docs/parts.md').splitlines() if line.startswith('| `')]
    return {name for row in rows for name in re.findall(r'`(\w+)`', row)}


def test_every_part_is_in_the_table_and_nothing_else():
    packages = (cainet_mm.models, cainet_mm.datasets, cainet_mm.engine, cainet_mm.evaluation)
    public = {name for package in packages for name in package.__all__}
    # functions and errors are no parts
    parts = {name for name in public if name[0].isupper() and not name.endswith('Error')}
    assert named_parts() == parts


def test_every_part_is_in_the_reference():
    listed = re.findall(r'^::: cainet_mm\.(?!inference|deploy)[\w.]+\.(\w+)$', read('docs/reference.md'), re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == named_parts()


def test_the_readme_has_at_most_140_lines_and_begins_with_a_picture():
    lines = read('README.md').splitlines()
    assert len(lines) <= 140
    assert lines[0].startswith('![')


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
    config.default_hooks.pop('pictures', None)
    for name in ('val_cfg', 'val_dataloader', 'val_evaluator'):
        config.pop(name, None)
    if 'head' in config.model:
        config.model.queue_len = 8
    runner = Runner.from_cfg(config)
    start = {name: weight.detach().clone() for name, weight in runner.model.named_parameters()}
    runner.train()
    assert any(not torch.equal(start[name], weight) for name, weight in runner.model.named_parameters())
    assert (tmp_path / 'iter_1.pth').is_file()


def test_there_are_five_examples_and_the_readme_s_is_one_of_them():
    assert len(EXAMPLES) == 5
    (short,) = find_examples('README.md')
    assert short in EXAMPLES


def test_a_part_of_one_s_own_goes_into_the_decoder(tmp_path, monkeypatch):
    """The module and the config under "A part of your own", as they are printed."""
    section = read('docs/extending.md').split('## A part of your own')[1]
    module, config = re.findall(r'```\n(.*?)```', section, re.DOTALL)
    (tmp_path / 'my_fusion.py').write_text(module, encoding='utf-8')
    (tmp_path / 'config.py').write_text(config, encoding='utf-8')
    monkeypatch.syspath_prepend(str(tmp_path))
    model = MODELS.build(Config.fromfile(tmp_path / 'config.py').model.encdec).eval()
    with torch.no_grad():
        outputs = model(torch.rand(1, 4, 64, 64))
    assert type(model.decoder.fusions[0]).__name__ == 'GatedHead'
    assert outputs[0].shape == (1, 3, 64, 64)

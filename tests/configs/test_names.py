"""What the names of trainings say is so, and the names that they had until 0.2.0 still lead to them."""

import re
from functools import cache
from pathlib import Path

import pytest
from conftest import ROOT, find_configs, is_old_name
from mmengine.config import Config

CONFIGS = [path for folder in ('cainet', 'cainet/ablations', 'baselines') for path in find_configs(folder)]
OLD_NAMES = sorted(filter(is_old_name, (ROOT / 'configs').rglob('*.py')))
NAME = re.compile(
    r'[a-z\d-]+_(?:[a-z\d-]+_)?(?P<gpus>\d+)xb(?P<batch>\d+)-(?P<thousands>\d+)k_(?P<data>[a-z\d-]+)-(?P<size>\d+x\d+)'
)
load = cache(Config.fromfile)


def test_what_is_trained_and_nothing_else_is_named_after_its_training():
    assert [path for path in CONFIGS if NAME.fullmatch(path.stem)] == [
        path for path in CONFIGS if 'train_cfg' in load(path)
    ]


@pytest.mark.parametrize('path', filter(lambda path: NAME.fullmatch(path.stem), CONFIGS), ids=lambda path: path.stem)
def test_names_say_the_batch_the_iterations_the_data_and_the_size(path):
    said, config = NAME.fullmatch(path.stem), load(path)
    assert config.train_dataloader.batch_size == int(said['batch'])
    assert config.auto_scale_lr.base_batch_size == int(said['gpus']) * int(said['batch'])
    assert config.train_cfg.max_iters == 1000 * int(said['thousands'])
    assert Path(config.train_dataloader.dataset.data_root).name.replace('_', '-') == said['data']
    assert 'x'.join(map(str, config.image_size)) == said['size']


@pytest.mark.parametrize('path', OLD_NAMES, ids=lambda path: path.stem)
def test_old_names_are_the_configs_of_today(path):
    with pytest.warns(DeprecationWarning, match='Please use .+ instead') as told:
        old = Config.fromfile(path)
    (name,) = re.findall('Please use (.+) instead', ' '.join(str(warning.message) for warning in told))
    today = path.with_name(name)
    assert not is_old_name(today)
    assert old.to_dict() == load(today).to_dict()


def test_there_is_an_old_name_of_every_training():
    assert len(OLD_NAMES) == sum(NAME.fullmatch(path.stem) is not None for path in CONFIGS) == 18

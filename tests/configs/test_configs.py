"""Every config builds, from a checkout and piece by piece."""

import numpy as np
import pytest
import torch
from conftest import ROOT, find_configs, without_vgg_weights
from mmagic.registry import MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS, METRICS, build_from_cfg, init_default_scope
from mmengine.runner import Runner

from cainet_mm.inference.loading import without_pretrained

# studies name configs, and pure_python_model.py is inherited by pure_python.py
NO_RUNS = {'_base_', 'studies', 'pure_python_model.py'}
CONFIGS = [path for path in find_configs('', '**/*.py') if not NO_RUNS & set(path.parts)]


def load(path):
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    without_vgg_weights(config.model)
    return config


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: str(path.relative_to(ROOT / 'configs')))
class TestEveryConfig:
    def test_needs_no_more_than_the_import_of_this_package(self, path):
        config = Config.fromfile(path, import_custom_modules=False)
        assert config.custom_imports == dict(imports=['cainet_mm'], allow_failed_imports=False)

    def test_model_builds(self, path, monkeypatch):
        # to draw the weights takes longer than all else
        for draw in ('uniform_', 'normal_'):
            monkeypatch.setattr(torch.Tensor, draw, lambda tensor, *args, **kwargs: tensor)
        assert isinstance(MODELS.build(without_pretrained(load(path).model)), torch.nn.Module)

    def test_hooks_and_metrics_build(self, path):
        config = load(path)
        for hook in config.get('custom_hooks', []):
            assert isinstance(HOOKS.build(hook), Hook)
        metrics = config.get('test_evaluator', [])
        for metric in metrics if isinstance(metrics, list) else [metrics]:
            assert build_from_cfg(metric, METRICS) is not None

    def test_embedded_data_pass_the_pipeline(self, path):
        config = load(path)
        for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
            dataset = config.get(name, {}).get('dataset')
            if dataset is None or dataset.type != 'SamplePhotos':
                continue
            packed = DATASETS.build(dataset)[0]
            assert packed['inputs'].shape == (3, *config.image_size)
            samples = packed['data_samples']
            for mask in ('mask', 'mask_q', 'mask_k'):
                if mask in samples:
                    assert samples.get(mask).shape == (1, *config.image_size)


def test_fixed_masks_are_the_same_in_every_worker_and_run():
    def masks(num_workers):
        config = load(ROOT / 'configs/quickstart/stage2.py').test_dataloader
        config.update(num_workers=num_workers, persistent_workers=False, batch_size=3)
        np.random.seed(num_workers)
        return torch.stack(
            [
                sample.mask
                for batch in Runner.build_dataloader(config, seed=num_workers)
                for sample in batch['data_samples']
            ]
        )

    alone = masks(0)
    assert (alone == masks(2)).all()
    assert len({mask.numpy().tobytes() for mask in alone}) == len(alone), 'each image has its own mask'


def test_training_masks_differ_from_one_visit_to_the_next():
    dataset = DATASETS.build(load(ROOT / 'configs/quickstart/stage2.py').train_dataloader.dataset)
    first, second = (dataset[0]['data_samples'].mask for _ in range(2))
    assert (first != second).any()

"""Pictures of a training: what they are drawn from, and that none of them stops it."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import tiny
from mmagic.structures import DataSample
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from PIL import Image

from cainet_mm.engine.hooks.pictures import plot_curves, read_curves


def write_log(folder, entries):
    (folder / 'vis_data').mkdir(parents=True)
    (folder / 'vis_data/scalars.json').write_text(''.join(json.dumps(entry) + '\n' for entry in entries))


def sample(value):
    mask = torch.zeros(1, 8, 8)
    mask[:, 2:5, 2:5] = 1
    known = torch.full((3, 8, 8), float(value))
    return DataSample(gt_img=known, mask=mask, output=DataSample(pred_img=known + 10 * mask))


@pytest.fixture
def runner(tmp_path):
    """What the hook asks of a runner; the log and the visualiser note what they get."""
    noted = SimpleNamespace(warnings=[], images={})
    return SimpleNamespace(
        work_dir=str(tmp_path), iter=40, noted=noted,
        logger=SimpleNamespace(warning=noted.warnings.append),
        visualizer=SimpleNamespace(add_image=lambda name, image, step: noted.images.update({(name, step): image})),
    )  # fmt: skip


class Loader(list):
    batch_size = 2


def validate(hook, runner, values):
    batches = [[sample(value) for value in values[start : start + 2]] for start in range(0, len(values), 2)]
    runner.val_dataloader = Loader(batches)
    hook.before_val_epoch(runner)
    for index, outputs in enumerate(batches):
        hook.after_val_iter(runner, index, None, outputs)
    hook.after_val_epoch(runner, {})


def test_montage_has_a_row_for_each_of_some_images_evenly_spread(runner, tmp_path):
    hook = HOOKS.build(dict(type='TrainingPicturesHook', images=3))
    for _ in range(2):  # the same in each validation
        validate(hook, runner, [10, 20, 30, 40, 50, 60])
    picture = np.asarray(Image.open(tmp_path / 'validation.png'))
    assert picture.shape == (22 + 3 * 132 + 4, 3 * 132 + 4, 3)
    rows, columns = [22 + 132 * index + 60 for index in range(3)], [4 + 132 * index + 60 for index in range(3)]
    # within the hole, masked, filled and true
    assert [[int(picture[y, x, 0]) for x in columns] for y in rows] == [
        [128, value + 10, value] for value in (10, 30, 50)
    ]
    assert np.array_equal(runner.noted.images['validation', 40], picture) and not runner.noted.warnings


def test_outputs_without_images_are_no_pictures(runner, tmp_path):
    hook = HOOKS.build(dict(type='TrainingPicturesHook'))
    runner.val_dataloader = Loader([0])
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, None, [DataSample()])
    hook.after_val_epoch(runner, {})
    assert list(tmp_path.iterdir()) == [] and not runner.noted.warnings


def test_a_picture_that_fails_is_a_warning(runner, tmp_path):
    write_log(tmp_path / '1', [dict(step=1, loss=2.0)])
    (tmp_path / 'curves.png').mkdir()
    (tmp_path / 'validation.png').mkdir()
    hook = HOOKS.build(dict(type='TrainingPicturesHook'))
    validate(hook, runner, [10])
    hook.after_train(runner)
    assert [warning.partition(' ')[0] for warning in runner.noted.warnings] == [
        'validation.png', 'curves.png', 'curves.png',
    ]  # fmt: skip


def test_curves_of_a_resumed_run_are_one(tmp_path):
    write_log(tmp_path / '1', [dict(step=step, iter=step, loss=float(step), time=0.1) for step in (10, 20, 30)])
    # goes on from a checkpoint at 20, whose validation it makes up for
    write_log(tmp_path / '2', [dict(step=20, PSNR=18.5), dict(step=25, iter=25, loss=-1.0, grad_norm=float('nan'))])
    assert read_curves(tmp_path) == dict(loss=[(10, 10.0), (20, 20.0), (25, -1.0)], PSNR=[(20, 18.5)])
    # another run in the same folder, from the start
    write_log(tmp_path / '3', [dict(step=5, iter=5, loss=7.0)])
    assert read_curves(tmp_path) == dict(loss=[(5, 7.0)])


def test_a_line_of_the_log_that_is_cut_off_is_left_out(tmp_path):
    write_log(tmp_path / '1', [dict(step=10, iter=10, loss=2.0)])
    with open(tmp_path / '1/vis_data/scalars.json', 'a') as log:
        log.write('{"loss": 1.0, "st')
    assert read_curves(tmp_path) == dict(loss=[(10, 2.0)])


def test_curves_are_drawn_whatever_they_are(tmp_path):
    plot_curves(
        {
            'loss': [(step, 1 / step) for step in range(1, 60)],
            'critic_real': [(3, -1.0)],
            'PSNR': [(3, 18.0), (6, 19.0)],
        },
        tmp_path / 'curves.png',
    )
    assert np.asarray(Image.open(tmp_path / 'curves.png')).std() > 1


def test_training_leaves_both_pictures(tmp_path):
    config = tiny('stage2', tmp_path)
    config.default_hooks.pictures = dict(type='TrainingPicturesHook', images=2)
    config.experiment_name = 'pictures'
    Runner.from_cfg(config).train()
    assert {'curves.png', 'validation.png'} <= {path.name for path in tmp_path.iterdir()}
    assert [path.name for path in tmp_path.glob('*/vis_data/vis_image/*')] == ['validation_2.png']
    curves = read_curves(tmp_path)
    # a validation's figures stand at its iteration
    assert [step for step, _ in curves['HolePSNR']] == [2] and [step for step, _ in curves['loss']] == [1, 2]

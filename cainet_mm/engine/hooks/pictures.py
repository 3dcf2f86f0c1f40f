"""Pictures of a training: its curves, and what it makes of some validation images."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...evaluation.comparison import take_pictures
from ...evaluation.plots import make_montage

CURVES = 'curves.png'
MONTAGE = 'validation.png'
# of the log's scalars, those that are no curves
NO_CURVES = ('iter', 'step', 'epoch', 'time', 'data_time', 'memory', 'base_lr')
GENERATOR, OTHER, METRIC, RATE = range(4)
Curves = dict[str, list[tuple[int, float]]]


@HOOKS.register_module()
class TrainingPicturesHook(Hook):
    """Draws a training's curves and a montage of validation images into the work directory, as it goes.

    ``curves.png`` has a panel for each loss, learning rate and metric, from the scalars that MMEngine's
    ``LocalVisBackend`` has written, those of interrupted starts included. It is drawn at each validation, every
    ``interval`` iterations and at the end. ``validation.png`` has some images of the last validation, the same each
    time and evenly spread (of several processes, those of the first), a row each: masked, filled and truth. The
    visualiser gets it, too, so that ``LocalVisBackend`` keeps each, and TensorBoard or WandB show it.

    A picture that cannot be drawn is a warning in the log, and the training goes on.

    Args:
        images: Rows of the montage; 0 for none.
        interval: Iterations from one drawing of the curves to the next, which is for trainings that do not validate; 0
            for no curves at all.
    """

    # after LoggerHook, whose scalars are drawn
    priority = 'LOW'

    def __init__(self, images: int = 6, interval: int = 1000) -> None:
        self.images, self.interval = images, interval
        self._rows: list[list[np.ndarray]] = []
        self._seen = 0

    def before_val_epoch(self, runner: Runner) -> None:
        self._rows, self._seen = [], 0

    @master_only
    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if len(self._rows) < self.images:
            self._draw(runner, MONTAGE, self._keep, outputs or ())

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if self._rows:
            self._draw(runner, MONTAGE, self._write_montage)
        self.after_train(runner)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if self.every_n_train_iters(runner, self.interval):
            self.after_train(runner)

    @master_only
    def after_train(self, runner: Runner) -> None:
        if self.interval:
            self._draw(runner, CURVES, self._write_curves)

    def _draw(self, runner: Runner, name: str, drawing: Callable[..., None], *arguments: object) -> None:
        try:
            drawing(runner, *arguments)
        except Exception as error:  # no picture is worth a training
            runner.logger.warning(f'{name} could not be drawn ({type(error).__name__}: {error}); training goes on.')

    def _keep(self, runner: Runner, outputs: Sequence) -> None:
        if self._seen == 0:
            self._every = max(len(runner.val_dataloader) * len(outputs) // self.images, 1)
        for sample in outputs:
            is_shown = self._seen % self._every == 0 and len(self._rows) < self.images
            self._seen += 1
            # those of classifiers and the like have no images
            if is_shown and 'gt_img' in sample and 'mask' in sample and 'output' in sample:
                shown = take_pictures('', sample, [])
                self._rows.append([shown.masked, shown.final, shown.truth])

    def _write_montage(self, runner: Runner) -> None:
        montage = make_montage(['masked', f'filled, iteration {runner.iter}', 'truth'], self._rows)
        montage.save(Path(runner.work_dir) / MONTAGE)
        runner.visualizer.add_image('validation', np.asarray(montage), step=runner.iter)

    def _write_curves(self, runner: Runner) -> None:
        curves = read_curves(Path(runner.work_dir))
        if curves:
            plot_curves(curves, Path(runner.work_dir) / CURVES)


def read_curves(work_dir: Path) -> Curves:
    """Read the scalars of all starts of a run; where a later start has gone over iterations again, its own count.

    Args:
        work_dir: Folder of the run, with ``TIMESTAMP/vis_data/scalars.json``.
    """
    curves: dict[str, dict[int, float]] = {}
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        entries = []
        for line in path.read_text(encoding='utf-8').splitlines():
            # a run that was killed may have left a part of one
            with suppress(json.JSONDecodeError):
                entries.append(json.loads(line))
        if not entries:
            continue
        begin = entries[0]['step']
        # that of a validation made up for may stand at the last iteration of the start before
        for points in curves.values():
            for step in [step for step in points if step > begin]:
                del points[step]
        for entry in entries:
            for name, value in entry.items():
                if name not in NO_CURVES and isinstance(value, int | float) and math.isfinite(value):
                    curves.setdefault(name, {})[entry['step']] = value
    return {name: sorted(points.items()) for name, points in curves.items() if points}


def plot_curves(curves: Mapping[str, list[tuple[int, float]]], path: Path) -> None:
    """Plot each scalar over the iterations, in a panel of its own: losses, metrics, learning rates."""
    from matplotlib.figure import Figure

    columns = min(4, len(curves))
    rows = math.ceil(len(curves) / columns)
    sheet = Figure(figsize=(3.4 * columns, 2.3 * rows))
    sheet.subplots_adjust(
        left=0.6 / (3.4 * columns), right=0.98, bottom=0.35 / (2.3 * rows), top=1 - 0.3 / (2.3 * rows),
        wspace=0.3, hspace=0.42,
    )  # fmt: skip
    last = max(step for points in curves.values() for step, _ in points)
    for position, (name, points) in enumerate(sorted(curves.items(), key=lambda curve: order_of(curve[0]))):
        panel = sheet.add_subplot(rows, columns, position + 1)
        steps, values = np.array([step for step, _ in points]), np.array([value for _, value in points])
        kind, reach = order_of(name)[0], len(values) // 20
        noisy = reach > 1 and kind != RATE
        line = '-' if len(values) > 20 else '.-'
        panel.plot(steps, values, line, color=f'C{kind}', linewidth=1, alpha=0.4 if noisy else 1)
        if noisy:
            means = np.convolve(values, np.ones(2 * reach + 1) / (2 * reach + 1), 'valid')
            panel.plot(steps[reach:-reach], means, color=f'C{kind}', linewidth=1)
        if values.min() > 0 and values.max() > 20 * values.min():
            panel.set_yscale('log')
        panel.set_title(name, fontsize=9)
        panel.set_xlim(0, last * 1.02)
        panel.tick_params(labelsize=7)
        panel.grid(alpha=0.3)
    sheet.savefig(path, dpi=100)


def order_of(name: str) -> tuple[int, str]:
    """The generator's losses, the critic's, metrics, whose names have a capital, and learning rates; each by name."""
    if name.rpartition('.')[2] == 'lr':
        return RATE, name
    if name[:1].isupper() or '/' in name:
        return METRIC, name
    return (GENERATOR if name.startswith('loss') else OTHER), name

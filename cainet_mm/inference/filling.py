"""Holes of any size in images of any size, filled by a network that works at one size."""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

import cv2
import numpy as np
import torch
from mmagic.structures import DataSample
from mmengine.model import BaseModel

from .blending import match_border, paste, to_float

# A window is this many times as long as the box of the hole in it: the largest rectangles of the training masks take
# half of the image's side.
CONTEXT = 2
# Coarse to fine, what is filled anew at a finer scale is the shell of a hole within an eighth of a window of the known
# pixels: at that scale the network has twice as much context as in training, and less of the hole to make up.
SHELL = 8
# what MMagic's GetMaskedImage puts into the hole: 0 once images are in [-1, 1]
HOLE_VALUE = 127.5


class Window(NamedTuple):
    """A square that the network fills at once."""

    image: np.ndarray  # (S, S, 3), float32, RGB in [0, 255]
    unknown: np.ndarray  # (S, S), true where the network has to fill


class Group(NamedTuple):
    """Holes that are close to each other and filled together."""

    box: tuple[int, int, int, int]  # top, left, bottom and right around them; the last two are exclusive
    own: np.ndarray  # (bottom - top, right - left), true in these holes
    depth: float  # the largest distance of a pixel in them to the known ones


# yields windows and is sent what the network made of them, (S, S, 3), RGB in [0, 255]
Steps = Generator[list[Window], list[np.ndarray], None]


@torch.no_grad()
def run_model(model: BaseModel, windows: Sequence[Window]) -> list[np.ndarray]:
    """Run an inpaintor on a batch of windows of one size the way it is tested: through its own data preprocessor.

    Returns its ``fake_res``, before the known pixels are put back: (S, S, 3), float32, RGB in [0, 255].
    """
    inputs, samples = [], []
    for window in windows:
        masked = np.where(window.unknown[..., None], np.float32(HOLE_VALUE), window.image)
        inputs.append(torch.from_numpy(np.ascontiguousarray(masked[..., ::-1].transpose(2, 0, 1))))
        mask = torch.from_numpy(window.unknown.astype(np.float32))[None]
        metainfo = dict(gt_channel_order='BGR', img_channel_order='BGR')
        samples.append(DataSample(gt_img=inputs[-1], mask=mask, metainfo=metainfo))
    predictions = model.test_step(dict(inputs=inputs, data_samples=samples))
    return [sample.output.fake_res.flip(0).permute(1, 2, 0).float().cpu().numpy() for sample in predictions]


@dataclass(frozen=True)
class Options:
    """How holes are filled."""

    work_size: int  # side of the squares that the network works on
    batch_size: int = 8  # windows that go through the network at once
    refine: bool = False  # whether large holes are filled coarse to fine
    # called with the place of what was seen around holes, and with the network's image there before known pixels are
    # put back, float32, RGB in [0, 255]
    on_raw: Callable[[tuple[slice, slice], np.ndarray], None] | None = None


def fill_holes(
    images: Sequence[np.ndarray], holes: Sequence[np.ndarray], model: BaseModel, options: Options
) -> list[np.ndarray]:
    """Fill the holes of images; windows of all of them go through the network together.

    The network only sees squares of ``work_size``. Holes that are close to each other form a group. A group is seen
    at once, in a window around it that is reduced to ``work_size`` where it is larger; a long group of thin holes is
    covered with overlapping windows instead, which keep its resolution. With ``refine``, a hole that was seen reduced
    is filled again at finer and finer scales, a shell at its border at a time. Small images are reflected at their
    borders. The colours of what is pasted are shifted smoothly to meet those around it; known pixels are not changed.

    Args:
        images: (H, W, 1) or (H, W, 3), RGB, uint8 or uint16, of any sizes.
        holes: (H, W), true in the hole; at least one pixel of each has to be known.
        model: An inpaintor, in eval mode.
        options: Sizes of windows and batches.

    Returns:
        New images of the same sizes and types.
    """
    results = [image.copy() for image in images]
    plans = (
        plan
        for result, hole in zip(results, holes, strict=True)
        if hole.any()
        for plan in plan_image(result, hole, options)
    )
    run_together(plans, model, options.batch_size, max_area=4 * options.batch_size * options.work_size**2)
    return results


def plan_image(canvas: np.ndarray, hole: np.ndarray, options: Options) -> Iterator[tuple[int, Steps]]:
    """Say how each group of an image's holes is filled: how many pixels that keeps in memory, and its steps."""
    for group in find_groups(hole, options.work_size):
        scale = choose_scale(group, hole.shape, options.work_size)
        top, left, bottom, right = surroundings(group, hole.shape, options.work_size, scale)
        yield (bottom - top) * (right - left), fill_group(canvas, hole, group, options)


def run_together(plans: Iterable[tuple[int, Steps]], model: BaseModel, batch_size: int, max_area: int) -> None:
    """Step through plans (areas and steps) side by side, so that their windows share batches.

    Plans run at the same time up to a sum of areas of ``max_area``, and at least one.
    """
    plans = iter(plans)
    waiting = next(plans, None)
    active: list[tuple[int, Steps, list[Window]]] = []
    while active or waiting is not None:
        while waiting is not None and len(active) < batch_size:
            area, steps = waiting
            if active and area + sum(other for other, _, _ in active) > max_area:
                break
            active.append((area, steps, next(steps)))
            waiting = next(plans, None)
        windows = [window for _, _, wanted in active for window in wanted]
        batches = [windows[first : first + batch_size] for first in range(0, len(windows), batch_size)]
        outputs = iter([output for batch in batches for output in run_model(model, batch)])
        remaining = []
        for area, steps, wanted in active:
            with suppress(StopIteration):
                remaining.append((area, steps, steps.send(list(islice(outputs, len(wanted))))))
        active = remaining


def find_groups(hole: np.ndarray, size: int) -> Iterator[Group]:
    """Find the holes of an image, (H, W), those within a quarter of the window's side together; the largest first."""
    pixels = hole.astype(np.uint8)
    gap = max(1, size // 8)
    # a rectangle is dilated along one axis after the other, so its size costs nothing
    labels, stats = cv2.connectedComponentsWithStats(cv2.dilate(pixels, np.ones((2 * gap + 1, 2 * gap + 1))))[1:3]
    for label in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind='stable'):
        left, top, width, height = (int(value) for value in stats[label, : cv2.CC_STAT_AREA])
        own = (labels[top : top + height, left : left + width] == label) & hole[top : top + height, left : left + width]
        rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
        own = own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        box = (top + int(rows[0]), left + int(columns[0]), top + int(rows[-1]) + 1, left + int(columns[-1]) + 1)
        yield Group(box, own, float(depths_in(hole, box)[own].max()))


def depths_in(hole: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Distances of a group's pixels to the known ones, in its box: (bottom - top, right - left), float32.

    Of all holes of the image, (H, W), one pixel around the box suffices: between a pixel and the nearest known one
    there are only pixels of its group.
    """
    top, left, bottom, right = box
    first_row, first_column = max(0, top - 1), max(0, left - 1)
    pixels = hole[first_row : bottom + 1, first_column : right + 1].astype(np.uint8)
    depths = cv2.distanceTransform(pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    return depths[top - first_row :, left - first_column :][: bottom - top, : right - left]


def choose_scale(group: Group, shape: tuple[int, int], size: int) -> float:
    """How far a group's surroundings are reduced for the network: 1 for not at all, 2 to half, ...

    A window has to show the whole group with as much around it as in training, or, where the group is long and thin,
    each part of it so.
    """
    top, left, bottom, right = group.box
    # of a hole that takes most of the image there is no more to see than the image
    whole = max(1.0, min(CONTEXT * max(bottom - top, right - left), max(shape)) / size)
    thin = max(1.0, 2 * CONTEXT * group.depth / size)
    return thin if thin <= whole / 2 else whole


def surroundings(group: Group, shape: tuple[int, int], size: int, scale: float) -> tuple[int, int, int, int]:
    """The part of the image that a group is filled from: top, left, bottom, right."""
    side = math.ceil(size * scale)
    spans = []
    for first, last, limit in zip(group.box[:2], group.box[2:], shape, strict=True):
        # a group that fits into the inner half of a window needs only that one
        margin = 0 if CONTEXT * (last - first) <= side else side // (2 * CONTEXT)
        length = max(last - first + 2 * margin, side)
        start = max(0, min((first + last - length) // 2, limit - length))
        spans.append((start, min(limit, start + length)))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def fill_group(canvas: np.ndarray, hole: np.ndarray, group: Group, options: Options) -> Steps:
    """Fill a group of an image's holes, (H, W): its pixels in the canvas, (H, W, C), are replaced."""
    scale = choose_scale(group, hole.shape, options.work_size)
    yield from fill_at_scale(canvas, hole, group, group.own, scale, options)
    if not options.refine or scale == 1:
        return
    depths = depths_in(hole, group.box)
    while scale > 1:
        scale = max(1.0, scale / 2)
        shell = group.own & (depths <= options.work_size * scale / SHELL)
        yield from fill_at_scale(canvas, hole, group, shell, scale, options)


def fill_at_scale(
    canvas: np.ndarray, hole: np.ndarray, group: Group, part: np.ndarray, scale: float, options: Options
) -> Steps:
    """Fill a group of holes at one scale, or the part of it that is true in ``part``: the rest counts as known."""
    size = options.work_size
    top, left, bottom, right = surroundings(group, hole.shape, size, scale)
    place = slice(top, bottom), slice(left, right)
    box = np.s_[group.box[0] - top : group.box[2] - top, group.box[1] - left : group.box[3] - left]
    own = np.zeros((bottom - top, right - left), bool)
    own[box] = part
    # of the surroundings only: many plans hold theirs at the same time
    known = ~hole[place]
    known[box] |= group.own & ~part
    if scale == 1:
        # stays as it is, since floats of a large image take much memory; windows become floats one by one
        image, unknown, wanted = canvas[place], ~known, own
    else:
        image, unknown = reduce_known(canvas[place], known, scale)
        wanted = cv2.resize(own.astype(np.float32), unknown.shape[::-1], interpolation=cv2.INTER_AREA) > 0
    height, width = unknown.shape
    # small images and reduced ones do not fill a window
    shape = max(height, size), max(width, size)

    corners = choose_windows(wanted, shape, size)
    weight = feather(size)
    total, weights = np.zeros((*shape, 3), np.float32), np.zeros(shape, np.float32)
    for first in range(0, len(corners), options.batch_size):
        chosen = corners[first : first + options.batch_size]
        places = [np.s_[y : y + size, x : x + size] for y, x in chosen]
        windows = [cut_window(image[inner], unknown[inner], size) for inner in places]
        for inner, output in zip(places, (yield windows), strict=True):
            total[inner] += weight[..., None] * output
            weights[inner] += weight
    covered = weights > 0
    np.divide(total, weights[..., None], out=total, where=covered[..., None])
    total, covered = total[:height, :width], covered[:height, :width, None]
    if options.on_raw is not None:
        raw = np.where(covered, total, to_float(image))
        options.on_raw(place, raw if scale == 1 else cv2.resize(raw, own.shape[::-1], interpolation=cv2.INTER_CUBIC))
    if scale != 1:
        # to be enlarged together with the known pixels beside it, it has to meet them before
        answered = unknown & covered[..., 0]
        for index in range(3):
            total[..., index] += match_border(total[..., index], image[..., index], ~unknown, answered)
        total = np.where(answered[..., None], total, image)
    paste(canvas[place], known, own, total)


def cut_window(image: np.ndarray, unknown: np.ndarray, size: int) -> Window:
    """Make a window of a part of an image, (h, w, 1) or (h, w, 3), reflected where the part is smaller."""
    padding = [(0, size - length) for length in unknown.shape]
    image = np.repeat(to_float(image), 3 // image.shape[2], axis=2)
    image = np.pad(image, (*padding, (0, 0)), 'symmetric')
    return Window(image, np.pad(unknown, padding, 'symmetric'))


def reduce_known(image: np.ndarray, known: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Reduce an image, (H, W, 1) or (H, W, 3), by a scale above 1: new pixels are means of the known ones there.

    Returns the image, (h, w, 3), float32, in [0, 255], and (h, w), true where more than half is unknown.
    """
    unit = np.float32(255 / np.iinfo(image.dtype).max)
    size = max(1, round(image.shape[1] / scale)), max(1, round(image.shape[0] / scale))
    weights = known.astype(np.float32)
    share = cv2.resize(weights, size, interpolation=cv2.INTER_AREA)
    channels = []
    # one channel at a time: of a large image all three would take much memory
    for index in range(image.shape[2]):
        values = cv2.resize(image[..., index] * weights, size, interpolation=cv2.INTER_AREA)
        channels.append((values * (unit / np.maximum(share, np.float32(1e-6)))).clip(0, 255))
    enough = share > 0.5
    unknown = ~enough if enough.any() else share <= 0
    return np.stack(channels * (3 // len(channels)), axis=-1), unknown


def choose_windows(wanted: np.ndarray, shape: tuple[int, int], size: int) -> list[tuple[int, int]]:
    """Place windows so that each wanted pixel lies in the inner part of one, where the network sees all around it.

    Windows lie in an area of ``shape``, each side at least ``size``; ``wanted``, (h, w), is its top left part. Returns
    their tops and lefts.
    """
    grids = []
    for length in shape:
        count = 1 + math.ceil((length - size) / (size / 2))
        starts = np.linspace(0, length - size, count).round().astype(int)
        # neighbours meet in the middle of their overlap
        borders = [0, *((starts[1:] + starts[:-1] + size) // 2), length]
        grids.append(list(zip(starts.tolist(), borders[:-1], borders[1:], strict=True)))
    return [
        (top, left)
        for top, first_row, last_row in grids[0]
        for left, first_column, last_column in grids[1]
        if wanted[first_row:last_row, first_column:last_column].any()
    ]


def feather(size: int) -> np.ndarray:
    """Weights that fall from the middle of a window to its border, (size, size), float32, all above 0."""
    ramp = np.minimum(np.arange(1, size + 1), np.arange(size, 0, -1)).astype(np.float32)
    ramp /= ramp.max()
    return np.outer(ramp, ramp)

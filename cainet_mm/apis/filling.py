"""Holes of any size in images of any size, filled by a network that works at one size."""

import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.model import BaseModel

# A window is this many times as long as the box of the hole in it: the largest rectangles of the training masks take
# half of the image's side.
CONTEXT = 2
# Coarse to fine, what is filled anew at a finer scale is the shell of a hole within an eighth of a window of the known
# pixels: at that scale the network has twice as much context as in training, and less of the hole to make up.
SHELL = 8
# what MMagic's GetMaskedImage puts into the hole: 0 once images are in [-1, 1]
HOLE_VALUE = 127.5


@dataclass
class Window:
    """A square that the network fills at once.

    Attributes:
        image: (S, S, 3), float32, RGB in [0, 255].
        unknown: (S, S), true where the network has to fill.
    """

    image: np.ndarray
    unknown: np.ndarray


@dataclass
class Group:
    """Holes that are close to each other and filled together.

    Attributes:
        box: Top, left, bottom and right of the holes' bounding box; the last two are exclusive.
        own: (bottom - top, right - left), true in these holes.
        depth: The largest distance of a pixel in the holes to the known ones.
    """

    box: tuple[int, int, int, int]
    own: np.ndarray
    depth: float


# yields windows and is sent what the network made of them, (S, S, 3), RGB in [0, 255]
Steps = Generator[list[Window], list[np.ndarray], None]


def training_size(config: Config) -> int | None:
    """The side of the squares that the network of a config is trained on; ``None`` where the config does not tell.

    Args:
        config: With ``image_size``, or with a training pipeline that crops (``crop_size``) or resizes (``scale``). Of
            a rectangle the shorter side is taken.
    """
    if config.get('image_size') is not None:
        return side_of(config.image_size)
    pipeline = config.get('train_dataloader', {}).get('dataset', {}).get('pipeline') or config.get('train_pipeline', [])
    for key in ('crop_size', 'scale'):
        sizes = [size for size in find_values(pipeline, key) if side_of(size) is not None]
        if sizes:
            return side_of(sizes[-1])
    return None


def side_of(size: object) -> int | None:
    """The shorter side of a size, a number or a pair; ``None`` for what leaves a side open."""
    sides = list(size) if isinstance(size, list | tuple) else [size]
    whole = all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
    return min(sides) if sides and whole else None


def find_values(config: object, key: str) -> Iterator[object]:
    """Find what stands under a key anywhere in a nested config, in its order."""
    if isinstance(config, dict):
        for name, value in config.items():
            if name == key:
                yield value
            else:
                yield from find_values(value, key)
    elif isinstance(config, list | tuple):
        for value in config:
            yield from find_values(value, key)


@torch.no_grad()
def run_model(model: BaseModel, windows: Sequence[Window]) -> list[np.ndarray]:
    """Run an inpaintor on a batch of windows the way it is tested: through its own data preprocessor.

    Args:
        model: Any inpaintor that predicts ``fake_res`` as MMagic's do, in eval mode.
        windows: Windows of one size.

    Returns:
        The network's images before the known pixels are put back, (S, S, 3), float32, RGB in [0, 255].
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
    """How holes are filled.

    Attributes:
        work_size: Side of the squares that the network works on.
        batch_size: Number of windows that go through the network at once.
        refine: Whether large holes are filled coarse to fine.
        on_raw: Called with the place of what was seen around holes, and with the network's image there before known
            pixels are put back, float32, RGB in [0, 255].
    """

    work_size: int
    batch_size: int = 8
    refine: bool = False
    on_raw: Callable[[tuple[slice, slice], np.ndarray], None] | None = None


def fill_holes(
    images: Sequence[np.ndarray], holes: Sequence[np.ndarray], model: BaseModel, options: Options
) -> list[np.ndarray]:
    """Fill the holes of images; windows of all of them go through the network together.

    The network sees squares of ``work_size`` alone. Holes that are close to each other form a group. A group is seen
    at once, in a window around it that is reduced to ``work_size`` where it is larger; a group of thin holes that is
    long is covered with overlapping windows instead, which keep its resolution. With ``refine``, a hole that was seen
    reduced is filled again at finer and finer scales, a shell at its border at a time. Small images are reflected at
    their borders. The colours of what is pasted are shifted to meet those around it; the known pixels are not touched.

    Args:
        images: (H, W, 1) or (H, W, 3), RGB, uint8 or uint16, of any sizes.
        holes: (H, W), true in the hole; at least one pixel of each has to be known.
        model: An inpaintor, in eval mode.
        options: How.

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
    """Step through plans side by side, so that their windows share batches.

    Args:
        plans: Areas and steps.
        model: The network.
        batch_size: Number of windows in a batch.
        max_area: Sum of the areas of the plans that are under way, unless there is one alone.
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
        outputs: list[np.ndarray] = []
        for first in range(0, len(windows), batch_size):
            outputs += run_model(model, windows[first : first + batch_size])
        remaining = []
        for area, steps, wanted in active:
            answers, outputs = outputs[: len(wanted)], outputs[len(wanted) :]
            try:
                remaining.append((area, steps, steps.send(answers)))
            except StopIteration:
                continue
        active = remaining


def find_groups(hole: np.ndarray, size: int) -> Iterator[Group]:
    """Find the holes of an image, those that are close to each other (a quarter of the window) together.

    Args:
        hole: (H, W), bool.
        size: Side of the network's windows.

    Yields:
        The groups, the largest one first.
    """
    pixels = hole.astype(np.uint8)
    gap = max(1, size // 8)
    # a rectangle is dilated along one axis after the other, so its size costs nothing
    labels, stats = cv2.connectedComponentsWithStats(cv2.dilate(pixels, np.ones((2 * gap + 1, 2 * gap + 1))))[1:3]
    depths = cv2.distanceTransform(pixels, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    for label in 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind='stable'):
        left, top, width, height = (int(value) for value in stats[label, : cv2.CC_STAT_AREA])
        own = (labels[top : top + height, left : left + width] == label) & hole[top : top + height, left : left + width]
        rows, columns = (np.flatnonzero(own.any(axis=axis)) for axis in (1, 0))
        own = own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()
        box = (top + int(rows[0]), left + int(columns[0]), top + int(rows[-1]) + 1, left + int(columns[-1]) + 1)
        yield Group(box, own, float(depths[box[0] : box[2], box[1] : box[3]][own].max()))


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
        # a group that fits into the inner half of a window needs that one alone
        margin = 0 if CONTEXT * (last - first) <= side else side // (2 * CONTEXT)
        length = max(last - first + 2 * margin, side)
        start = max(0, min((first + last - length) // 2, limit - length))
        spans.append((start, min(limit, start + length)))
    return spans[0][0], spans[1][0], spans[0][1], spans[1][1]


def fill_group(canvas: np.ndarray, hole: np.ndarray, group: Group, options: Options) -> Steps:
    """Fill a group of holes in an image.

    Args:
        canvas: The image, (H, W, C); the group's pixels in it are replaced.
        hole: (H, W), all holes of the image.
        group: The group.
        options: How.
    """
    scale = choose_scale(group, hole.shape, options.work_size)
    yield from fill_at_scale(canvas, ~hole, group, scale, options)
    if not options.refine or scale == 1:
        return
    inner = np.s_[group.box[0] : group.box[2], group.box[1] : group.box[3]]
    depths = cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[inner].copy()
    while scale > 1:
        scale = max(1.0, scale / 2)
        reach = options.work_size * scale / SHELL
        shell = group.own & (depths <= reach)
        known = ~hole
        known[inner] |= group.own & ~shell
        yield from fill_at_scale(canvas, known, Group(group.box, shell, reach / 2), scale, options)


def fill_at_scale(canvas: np.ndarray, known: np.ndarray, group: Group, scale: float, options: Options) -> Steps:
    """Fill a group of holes at one scale.

    Args:
        canvas: The image, (H, W, C); the group's pixels in it are replaced.
        known: (H, W), what the group may be filled from.
        group: The group.
        scale: How far the surroundings are reduced.
        options: How.
    """
    size = options.work_size
    top, left, bottom, right = surroundings(group, known.shape, size, scale)
    place = slice(top, bottom), slice(left, right)
    own = np.zeros((bottom - top, right - left), bool)
    own[group.box[0] - top : group.box[2] - top, group.box[1] - left : group.box[3] - left] = group.own
    known = known[place]
    image, unknown = reduce_known(canvas[place], known, scale)
    wanted = own
    if scale != 1:
        wanted = cv2.resize(own.astype(np.float32), unknown.shape[::-1], interpolation=cv2.INTER_AREA) > 0
    height, width = unknown.shape
    # small images and reduced ones that do not fill a window
    padding = (0, max(0, size - height)), (0, max(0, size - width))
    image = np.pad(image, (*padding, (0, 0)), 'symmetric')
    unknown = np.pad(unknown, padding, 'symmetric')

    corners = choose_windows(wanted, unknown.shape, size)
    weight = feather(size)
    total, weights = np.zeros_like(image), np.zeros_like(unknown, np.float32)
    for first in range(0, len(corners), options.batch_size):
        chosen = corners[first : first + options.batch_size]
        places = [np.s_[y : y + size, x : x + size] for y, x in chosen]
        windows = [Window(image[inner], unknown[inner]) for inner in places]
        for inner, output in zip(places, (yield windows), strict=True):
            total[inner] += weight[..., None] * output
            weights[inner] += weight
    covered = weights > 0
    np.divide(total, weights[..., None], out=total, where=covered[..., None])
    filled = np.where((unknown & covered)[..., None], total, image)[:height, :width]
    if options.on_raw is not None:
        raw = np.where(covered[..., None], total, image)[:height, :width]
        options.on_raw(place, raw if scale == 1 else cv2.resize(raw, own.shape[::-1], interpolation=cv2.INTER_CUBIC))
    paste(canvas[place], known, own, filled)


def reduce_known(image: np.ndarray, known: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Reduce the known pixels of an image: each new pixel is the mean of those in its place.

    Args:
        image: (H, W, 1) or (H, W, 3), uint8 or uint16.
        known: (H, W), bool.
        scale: From 1 up.

    Returns:
        The image, (h, w, 3), float32, in [0, 255], and (h, w), true where more than half is unknown.
    """
    unit = np.float32(np.iinfo(image.dtype).max / 255)
    size = max(1, round(image.shape[1] / scale)), max(1, round(image.shape[0] / scale))
    weights = known.astype(np.float32)
    channels = []
    share = weights if scale == 1 else cv2.resize(weights, size, interpolation=cv2.INTER_AREA)
    # one channel at a time: of a large image all three would take much memory
    for index in range(image.shape[2]):
        values = image[..., index] * (weights / unit)
        if scale != 1:
            values = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
            values = values / np.maximum(share, np.float32(1e-6))
        channels.append(values.clip(0, 255))
    enough = share > 0.5
    unknown = ~enough if enough.any() else share <= 0
    return np.stack(channels * (3 // len(channels)), axis=-1), unknown


def choose_windows(wanted: np.ndarray, shape: tuple[int, int], size: int) -> list[tuple[int, int]]:
    """Place windows so that each wanted pixel lies in the inner part of one, where the network sees all around it.

    Args:
        wanted: (h, w), bool; at the top left of what the windows lie in.
        shape: Height and width of that, each at least ``size``.
        size: Side of the windows.

    Returns:
        Top and left of the windows.
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


def match_border(filled: np.ndarray, image: np.ndarray, known: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Shift the colours in a hole so that they meet the known ones around it.

    What the pixels at the hole's border lack to the mean of the known pixels beside them is spread smoothly over the
    whole hole and added there.

    Args:
        filled: One channel of what the hole is filled with, (h, w), float32.
        image: The same channel of the image, (h, w), float32.
        known: (h, w), bool, the image's known pixels.
        own: (h, w), bool, the hole.
    """
    near = cv2.blur(known.astype(np.float32), (3, 3), borderType=cv2.BORDER_CONSTANT)
    # a ninth for each known neighbour
    border = own & (near > 0.1)
    around = cv2.blur(np.where(known, image, np.float32(0)), (3, 3), borderType=cv2.BORDER_CONSTANT)
    missing = np.zeros_like(filled)
    missing[border] = around[border] / near[border] - filled[border]
    return filled + spread(missing, border.astype(np.float32))


def spread(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Continue values smoothly to where their weight is 0, over coarser and coarser scales (pull-push).

    Args:
        values: (h, w), float32.
        weights: (h, w), float32 in [0, 1].
    """
    if max(weights.shape) <= 2:
        pushed = (values * weights).sum() / max(weights.sum(), np.float32(1e-6))
    else:
        pulled = cv2.pyrDown(weights)
        means = cv2.pyrDown(values * weights) / np.maximum(pulled, np.float32(1e-6))
        pushed = cv2.pyrUp(spread(means, np.minimum(1, 4 * pulled)), dstsize=weights.shape[::-1])
    return weights * values + (1 - weights) * pushed


def paste(canvas: np.ndarray, known: np.ndarray, own: np.ndarray, filled: np.ndarray) -> None:
    """Write a filled image into the pixels of a hole.

    Args:
        canvas: (H, W, C), uint8 or uint16; changed in place.
        known: (H, W), true where the image is known.
        own: (H, W), true in the hole.
        filled: (h, w, 3), float32, in [0, 255]; enlarged to the canvas.
    """
    highest = np.iinfo(canvas.dtype).max
    if canvas.shape[2] == 1:
        filled = filled.mean(axis=2, keepdims=True)
    # one channel at a time: of a large image all three would take much memory
    for index in range(canvas.shape[2]):
        values = filled[..., index]
        if values.shape != own.shape:
            values = cv2.resize(np.ascontiguousarray(values), own.shape[::-1], interpolation=cv2.INTER_CUBIC)
        values = match_border(values, canvas[..., index] * np.float32(255 / highest), known, own)
        canvas[own, index] = (values[own] * np.float32(highest / 255)).round().clip(0, highest).astype(canvas.dtype)

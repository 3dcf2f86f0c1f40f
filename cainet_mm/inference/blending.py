"""Colours of a fill that meet those around the hole."""

import cv2
import numpy as np

# Side of the windows at a hole's border in which what is around it is compared with what fills it, and the number of
# finest scales over which that is averaged: single pixels do not count, only what some four in a row have in common.
WIDE = 9
SMOOTHING = 2
# rows of a large image that are compared at once
ROWS = 256


def to_float(values: np.ndarray) -> np.ndarray:
    """Bring the values of an image, uint8 or uint16, to float32 in [0, 255], unless they are that already."""
    return values if values.dtype == np.float32 else values * np.float32(255 / np.iinfo(values.dtype).max)


def match_border(filled: np.ndarray, image: np.ndarray, known: np.ndarray, own: np.ndarray) -> np.ndarray:
    """How the colours in a hole have to be shifted so that they meet the known ones around it.

    What the hole's border lacks to the known pixels is averaged along the border, so that a colour cast is removed but
    the texture of single pixels is not copied into the hole, and spread smoothly over the whole hole. One channel of
    the fill (float32 in [0, 255]) and of the image (also uint8 or uint16), and the known pixels and the hole (bool),
    all (h, w), give what is to be added in the hole, (h, w), float32.
    """
    lacking, border = np.zeros(own.shape, np.float32), np.zeros(own.shape, np.float32)
    for first in range(0, len(own), ROWS):
        # with the rows that its windows reach
        start = max(0, first - WIDE // 2)
        rows, outer = np.s_[first : first + ROWS], np.s_[start : first + ROWS + WIDE // 2]
        if own[rows].any():
            found = compare_border(filled[outer], to_float(image[outer]), known[outer], own[outer])
            lacking[rows], border[rows] = (values[first - start :][:ROWS] for values in found)
    return spread(lacking, border, SMOOTHING)


def compare_border(
    filled: np.ndarray, image: np.ndarray, known: np.ndarray, own: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""What the pixels at a hole's border lack to the known ones, and where that border is; all are (h, w).

    On a ramp that rises by :math:`g` from pixel to pixel outwards, and that the hole continues, a pixel at the border
    lacks :math:`d_3 = g` to the mean of its known neighbours, and the mean of what is filled in a window of side
    :math:`k` around it lacks :math:`d_k = g k / 2` to the mean of the known pixels there. That is subtracted:

    .. math:: d = d_3 - \frac{d_k - d_3}{k / 2 - 1}

    which is 0 for ramps, and :math:`c` for what differs by :math:`c` everywhere.
    """
    border = own & (cv2.dilate(known.astype(np.uint8), np.ones((3, 3))) > 0)
    near = window_means(image, known, 3, border) - filled[border]
    wide = window_means(image, known, WIDE, border) - window_means(filled, own, WIDE, border)
    lacking = np.zeros_like(image)
    lacking[border] = near - (wide - near) / (WIDE / 2 - 1)
    return lacking, border


def window_means(values: np.ndarray, mask: np.ndarray, side: int, where: np.ndarray) -> np.ndarray:
    """Means, (n,), of the values in a mask over the windows of an odd side around n pixels; inputs are (h, w)."""
    sums, counts = (
        cv2.boxFilter(one, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)[where]
        for one in (np.where(mask, values, np.float32(0)), mask.astype(np.float32))
    )
    return sums / counts


def spread(values: np.ndarray, weights: np.ndarray, smoothing: int = 0) -> np.ndarray:
    """Continue values, (h, w), smoothly to where their weight in [0, 1] is 0, over coarser and coarser scales.

    This is pull-push; values of the ``smoothing`` finest scales only count in the means of coarser ones.
    """
    if max(weights.shape) <= 2:
        pushed = np.full_like(values, (values * weights).sum() / max(weights.sum(), np.float32(1e-6)))
    else:
        pulled = cv2.pyrDown(weights)
        means = cv2.pyrDown(values * weights) / np.maximum(pulled, np.float32(1e-6))
        pushed = cv2.pyrUp(spread(means, np.minimum(1, 4 * pulled), smoothing - 1), dstsize=weights.shape[::-1])
    return pushed if smoothing > 0 else weights * values + (1 - weights) * pushed


def paste(canvas: np.ndarray, known: np.ndarray, own: np.ndarray, filled: np.ndarray) -> None:
    """Write a filled image, (h, w, 3), float32 in [0, 255], enlarged to (H, W), into the pixels of a hole.

    The canvas, (H, W, C), uint8 or uint16, is changed; ``known`` and ``own``, (H, W), are true outside and in the hole.
    """
    highest = np.iinfo(canvas.dtype).max
    if canvas.shape[2] == 1:
        filled = filled.mean(axis=2, keepdims=True)
    # one channel at a time: of a large image all three would take much memory
    for index in range(canvas.shape[2]):
        values = filled[..., index]
        if values.shape != own.shape:
            values = cv2.resize(np.ascontiguousarray(values), own.shape[::-1], interpolation=cv2.INTER_CUBIC)
        values = values[own] + match_border(values, canvas[..., index], known, own)[own]
        canvas[own, index] = (values * np.float32(highest / 255)).round().clip(0, highest).astype(canvas.dtype)

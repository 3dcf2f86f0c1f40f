"""Draws the README's first picture: photographs of scikit-image with holes, filled by the shipped network.

    python docs/first_picture.py OUT.jpg [FOLDER]

FOLDER keeps the photographs, the masks and what tools/inpaint.py makes of them (work_dirs/first_picture).
"""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from skimage import data

ROOT = Path(__file__).resolve().parents[1]
SIDE = 384


def square(image):
    """The central square of an RGB photograph, as BGR of SIDE pixels."""
    side = min(image.shape[:2])
    top, left = ((length - side) // 2 for length in image.shape[:2])
    crop = image[top : top + side, left : left + side, 2::-1]
    return cv2.resize(crop, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def draw_masks():
    """A scratch, a scribble, text, a wire, spots, and a box: 255 in the hole."""
    masks = np.zeros((6, SIDE, SIDE), np.uint8)
    cv2.line(masks[0], (20, 330), (360, 60), 255, 9)
    waves = [(x, round(200 + 60 * np.sin(x / 25))) for x in range(30, 350, 4)]
    cv2.polylines(masks[1], [np.array(waves)], False, 255, 14)
    for row, text in enumerate(('cainet_mm', '2026-11-28')):
        cv2.putText(masks[2], text, (12, 150 + 90 * row), cv2.FONT_HERSHEY_SIMPLEX, 1.9, 255, 9)
    for height in (90, 130, 170):
        cv2.line(masks[3], (0, height), (SIDE, height + 40), 255, 5)
    for x, y in np.random.RandomState(0).randint(30, SIDE - 30, (18, 2)):
        cv2.circle(masks[4], (int(x), int(y)), 13, 255, -1)
    cv2.rectangle(masks[5], (150, 40), (230, 110), 255, -1)
    return masks


def main():
    out = Path(sys.argv[1])
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / 'work_dirs/first_picture')
    names = ('astronaut', 'chelsea', 'coffee', 'rocket', 'retina')
    photos = [square(getattr(data, name)()) for name in names] + [square(data.stereo_motorcycle()[0])]
    masks = draw_masks()
    for kind, images in (('photos', photos), ('masks', masks)):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number, image in enumerate(images):
            cv2.imwrite(str(folder / kind / f'{number}.png'), image)
    command = [sys.executable, ROOT / 'tools/inpaint.py', folder / 'photos', folder / 'masks', '-o', folder / 'filled']
    subprocess.run(command, check=True)
    holed = [np.where(mask[..., None] > 0, np.uint8(255), photo) for photo, mask in zip(photos, masks, strict=True)]
    filled = [cv2.imread(str(folder / 'filled' / f'{number}.png')) for number in range(len(photos))]
    rows = [np.hstack(images) for images in (holed, filled, photos)]
    cv2.imwrite(str(out), np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == '__main__':
    main()

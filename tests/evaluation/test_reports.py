import csv

import numpy as np
import pytest
from PIL import Image

from cainet_mm.evaluation import write_montage, write_tables


def test_tables_hold_every_figure(tmp_path):
    rows = {'telea': dict(PSNR=20.123456, SSIM=0.5), 'ours': dict(PSNR=21.0)}
    table = write_tables(rows, tmp_path / 'new' / 'table')
    assert table.splitlines()[0].split() == ['|', 'method', '|', 'PSNR', '|', 'SSIM', '|']
    assert '20.1235' in table and len({len(line) for line in table.splitlines()}) == 1
    assert (tmp_path / 'new' / 'table.md').read_text() == table
    with open(tmp_path / 'new' / 'table.csv', newline='') as file:
        read = {row.pop('method'): row for row in csv.DictReader(file)}
    assert read == {'telea': dict(PSNR='20.123456', SSIM='0.5'), 'ours': dict(PSNR='21.0', SSIM='')}


def test_montage_shows_each_image_in_its_place(tmp_path):
    colours = [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (9, 9, 9)]]
    rows = [[np.full((4, 4, 3), left, np.uint8), np.full((64, 64, 3), right, np.uint8)] for left, right in colours]
    write_montage(['coarse', 'fine'], rows, tmp_path / 'montage.png')
    picture = np.asarray(Image.open(tmp_path / 'montage.png'))
    for row, titles in enumerate(colours):
        for column, colour in enumerate(titles):
            top, left = 22 + 132 * row, 4 + 132 * column
            inside = picture[top : top + 128, left : left + 128]
            assert (inside == colour).all()


@pytest.mark.parametrize('rows', [[], [[np.zeros((4, 4, 3), np.uint8)]]])
def test_montage_refuses_rows_that_do_not_fit(tmp_path, rows):
    with pytest.raises(ValueError, match='2 columns needs rows of 2 images'):
        write_montage(['one', 'two'], rows, tmp_path / 'montage.png')

"""Tables, intervals and pictures of a comparison."""

import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cainet_mm.evaluation import (
    border_window,
    mean_interval,
    paired_difference,
    summarise,
    write_json,
    write_montage,
    write_plot,
    write_report,
)
from cainet_mm.evaluation.comparison import ImageResult
from cainet_mm.evaluation.reports import hole_range_of


def result(values, shares, **whole):
    """A method's result: the PSNR of composed images, by image, and metrics of the whole test set."""
    images = [
        ImageResult(f'{index}.png', share, {'composed/HolePSNR': value})
        for index, (value, share) in enumerate(zip(values, shares, strict=True))
    ]
    metrics = {'composed/HolePSNR': float(np.mean(values)), **whole}
    return SimpleNamespace(images=images, metrics=metrics)


SHARES = [0.05, 0.15, 0.15, 0.0]


@pytest.fixture
def records():
    return summarise(
        {
            'irregular': {
                'Telea': result([20.0, 22.0, 24.0, 99.0], SHARES, **{'composed/FID': 7.5}),
                'ours': result([21.0, 22.5, 27.0, 99.0], SHARES),
            }
        },
        reference='ours',
    )


def find(records, **keys):
    (found,) = [entry for entry in records if all(entry[key] == value for key, value in keys.items())]
    return found


class TestSummary:
    def test_means_are_over_the_images_that_have_a_hole(self, records):
        entry = find(records, method='Telea', holes='all', figure='HolePSNR')
        assert (entry['mean'], entry['images']) == (22.0, 3)

    def test_differences_are_to_the_reference_on_the_same_images(self, records):
        entry = find(records, method='Telea', holes='all', figure='HolePSNR')
        assert entry['difference'] == pytest.approx((20 - 21 + 22 - 22.5 + 24 - 27) / 3)
        assert entry['difference_low'] <= entry['difference'] <= entry['difference_high'] < 0
        assert math.isnan(find(records, method='ours', holes='all')['difference'])

    def test_ranges_of_holes_have_their_own_images(self, records):
        assert find(records, method='Telea', holes='0-10%')['mean'] == 20
        entry = find(records, method='Telea', holes='10-20%')
        assert (entry['mean'], entry['images'], entry['difference']) == (23.0, 2, pytest.approx(-1.75))
        assert {entry['holes'] for entry in records} == {'all', '0-10%', '10-20%'}

    def test_metrics_of_the_whole_test_set_have_no_interval(self, records):
        entry = find(records, figure='FID')
        assert entry['mean'] == 7.5 and math.isnan(entry['low']) and math.isnan(entry['difference'])

    @pytest.mark.parametrize(('share', 'name'), [(0.1, '0-10%'), (0.1001, '10-20%'), (0.5, '40-50%'), (1.0, '50-100%')])
    def test_share_at_a_limit_is_in_the_lower_range(self, share, name):
        assert hole_range_of(share) == name


class TestIntervals:
    def test_interval_covers_the_true_mean_about_as_often_as_it_says(self):
        random = np.random.default_rng(0)
        covered = 0
        for _ in range(200):
            interval = mean_interval(random.normal(3.0, 1.0, 30), resamples=300)
            covered += interval.low <= 3.0 <= interval.high
        assert 0.88 <= covered / 200 <= 0.99

    def test_interval_is_that_of_resampled_means(self):
        values = np.random.default_rng(1).exponential(size=40)
        random = np.random.default_rng(2)
        means = random.choice(values, (20_000, 40)).mean(axis=1)
        interval = mean_interval(values, resamples=20_000)
        assert interval.mean == pytest.approx(values.mean())
        assert interval[1:] == pytest.approx(np.percentile(means, (2.5, 97.5)), abs=0.01)

    def test_interval_is_the_same_on_every_call(self):
        values = np.random.default_rng(1).random(20)
        assert mean_interval(values) == mean_interval(values)

    def test_missing_and_infinite_values(self):
        assert mean_interval([1.0, math.nan, 1.0]) == (1.0, 1.0, 1.0)
        assert math.isnan(mean_interval([math.nan]).mean)
        assert math.isnan(mean_interval([4.0]).low)
        assert mean_interval([1.0, math.inf]).mean == math.inf
        assert paired_difference([math.inf, 2.0], [math.inf, 1.0]).mean == 0.5


class TestSeveralMasksOfAPhotograph:
    def test_its_cases_are_drawn_together(self):
        """Ten alike cases of each of twelve photographs tell no more than the twelve."""
        random = np.random.default_rng(0)
        of_photos = random.normal(20, 3, 12)
        photos = [str(number) for number in range(12) for _ in range(10)]
        cases = np.repeat(of_photos, 10)
        together, alone = mean_interval(cases, photos=photos), mean_interval(of_photos)
        assert together == pytest.approx(alone, rel=0.02)
        assert together.high - together.low > 2.5 * (mean_interval(cases).high - mean_interval(cases).low)

    def test_interval_is_that_of_means_over_drawn_photographs(self):
        random = np.random.default_rng(1)
        numbers = np.repeat(np.arange(15), random.integers(1, 6, 15))
        values = random.normal(numbers, 1.0)
        drawn = random.integers(0, 15, (20_000, 15))
        means = [np.concatenate([values[numbers == one] for one in photos]).mean() for photos in drawn[:4000]]
        interval = mean_interval(values, resamples=20_000, photos=numbers.astype(str))
        assert interval.mean == values.mean()
        assert interval[1:] == pytest.approx(np.percentile(means, (2.5, 97.5)), abs=0.3)

    def test_one_case_of_each_changes_no_digit(self):
        values = np.random.default_rng(1).random(20)
        photos = [f'{number}.png' for number in range(20)][::-1]
        assert mean_interval(values, photos=photos) == mean_interval(values)
        assert paired_difference(values, values[::-1], photos=photos) == paired_difference(values, values[::-1])

    def test_one_photograph_has_no_interval(self):
        interval = mean_interval([1.0, 2.0, math.nan], photos=['a', 'a', 'b'])
        assert interval.mean == 1.5 and math.isnan(interval.low)

    def test_summaries_heed_it(self):
        images = [ImageResult(f'{name}_{mask}', 0.2, {'composed/PSNR': value + mask / 9}, name)
                  for name, value in (('a', 20.0), ('b', 30.0)) for mask in range(6)]  # fmt: skip
        (entry, _) = summarise({'any': {'ours': SimpleNamespace(images=images, metrics={})}}, None)
        assert entry['images'] == 12 and entry['high'] - entry['low'] == pytest.approx(10)


class TestReport:
    def test_everything_is_in_the_csv_in_full_precision(self, records, tmp_path):
        write_report(records, {}, ['A note.'], tmp_path / 'new', 'ours')
        with open(tmp_path / 'new/table.csv', newline='') as file:
            rows = list(csv.DictReader(file))
        assert len(rows) == len(records)
        for row, entry in zip(rows, records, strict=True):
            assert float(row['mean']) == entry['mean'] or math.isnan(entry['mean'])
            assert (row['method'], row['holes']) == (entry['method'], entry['holes'])

    def test_tables_have_a_row_for_each_method_and_those_that_failed(self, records, tmp_path):
        shown = write_report(records, {'broken': 'no such file'}, ['A note.'], tmp_path, 'ours')
        text = (tmp_path / 'table.md').read_text()
        assert 'A note.' in text and 'broken failed: no such file' in text
        assert '22.00 (20.00 to 24.00)' in text
        for table in (shown, text):
            rows = [line.split('|')[1].strip() for line in table.splitlines() if line.startswith('|')]
            assert {'Telea', 'ours', 'broken'} <= set(rows)
        assert 'Difference to ours' in text and '0-10% (1)' in text and '10-20% (2)' in text
        widths = [len(line) for line in shown.splitlines() if line.startswith('|')]
        assert len(set(widths)) == 1

    def test_difference_whose_interval_excludes_zero_is_bold(self, records, tmp_path):
        write_report(records, {}, [], tmp_path, 'ours')
        assert '**-1.50**' in (tmp_path / 'table.md').read_text()

    def test_json_has_no_numbers_that_json_lacks(self, tmp_path):
        write_json(dict(a=math.nan, b=[math.inf, 1.5], c=dict(d='x')), tmp_path / 'report.json')
        assert json.loads((tmp_path / 'report.json').read_text()) == dict(a=None, b=[None, 1.5], c=dict(d='x'))


class TestPictures:
    def test_montage_shows_each_image_in_its_place(self, tmp_path):
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
    def test_montage_refuses_rows_that_do_not_fit(self, tmp_path, rows):
        with pytest.raises(ValueError, match='2 columns needs rows of 2 images'):
            write_montage(['one', 'two'], rows, tmp_path / 'montage.png')

    @pytest.mark.parametrize('place', [(0, 0), (10, 20), (39, 59)])
    def test_zoom_lies_in_the_image_and_shows_both_sides_of_the_border(self, place):
        hole = np.zeros((40, 60), bool)
        hole[max(place[0] - 4, 0) : place[0] + 5, max(place[1] - 4, 0) : place[1] + 5] = True
        window = hole[border_window(hole)]
        assert window.shape == (16, 16)
        assert 0 < window.mean() < 1

    def test_zoom_of_an_image_without_a_border_is_its_middle(self):
        rows, columns = border_window(np.ones((40, 60), bool))
        assert (rows, columns) == (slice(12, 28), slice(22, 38))

    def test_plot_is_drawn_whatever_is_missing(self, records, tmp_path):
        write_plot(records, tmp_path / 'new/plot.png')
        assert np.asarray(Image.open(tmp_path / 'new/plot.png')).std() > 1
        write_plot([], tmp_path / 'empty.png')
        assert (tmp_path / 'empty.png').is_file()

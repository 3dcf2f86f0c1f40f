import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from cainet_mm.datasets import PhotoDataset

PIPELINE = [dict(type='LoadPhoto', min_size=(32, 32))]


@pytest.fixture
def warnings_said(monkeypatch):
    said = []
    monkeypatch.setattr('cainet_mm.datasets.bad_images.print_log', lambda message, *_: said.append(message))
    return said


def test_lists_images_sorted_with_names_free_of_the_folder(photo_folder):
    dataset = PhotoDataset(data_root=str(photo_folder), pipeline=PIPELINE)
    assert [dataset.get_data_info(index)['key'] for index in range(8)] == [f'photo_{n}' for n in range(8)]
    assert dataset[3]['gt'].shape == (48, 40, 3)


def test_list_file_picks_images(photo_folder):
    (photo_folder / 'list.txt').write_text('photo_5.png\nphoto_1.png\n')
    dataset = PhotoDataset(data_root=str(photo_folder), ann_file='list.txt', pipeline=PIPELINE)
    assert [info['key'] for info in (dataset.get_data_info(0), dataset.get_data_info(1))] == ['photo_1', 'photo_5']


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"data folder '.*nowhere.*' does not exist.*data_root"):
        PhotoDataset(data_root=str(tmp_path / 'nowhere'), pipeline=PIPELINE)


def test_missing_list_is_named(photo_folder):
    with pytest.raises(FileNotFoundError, match=r'image list .*absent.txt.* does not exist'):
        PhotoDataset(data_root=str(photo_folder), ann_file='absent.txt', pipeline=PIPELINE)


@pytest.mark.parametrize('ann_file', ['', 'empty.txt'])
def test_empty_list_is_refused(tmp_path, ann_file):
    (tmp_path / 'empty.txt').write_text('\n\n')
    with pytest.raises(ValueError, match=r'names no images.*\.png'):
        PhotoDataset(data_root=str(tmp_path), ann_file=ann_file, pipeline=PIPELINE)


def test_training_skips_a_bad_image_and_names_it_once(photo_folder, warnings_said):
    (photo_folder / 'photo_2.png').write_bytes(b'broken')
    dataset = PhotoDataset(data_root=str(photo_folder), pipeline=PIPELINE)
    np.random.seed(0)
    for _ in range(5):
        assert dataset[2]['key'] != 'photo_2'
    assert len(warnings_said) == 1 and 'photo_2.png' in warnings_said[0]


def test_training_skips_an_image_smaller_than_the_crop(photo_folder, warnings_said):
    Image.new('RGB', (8, 8)).save(photo_folder / 'photo_0.png')
    dataset = PhotoDataset(data_root=str(photo_folder), pipeline=PIPELINE)
    assert dataset[0]['key'] != 'photo_0'
    assert '8x8 pixels, smaller than the crop of 32x32' in warnings_said[0]


def test_too_many_bad_images_stop_training(photo_folder, warnings_said):
    for number in (1, 2):
        (photo_folder / f'photo_{number}.png').write_bytes(b'broken')
    dataset = PhotoDataset(data_root=str(photo_folder), pipeline=PIPELINE, max_bad_share=0.1)
    with pytest.raises(ValueError, match=r'2 of 8 images are bad, more than max_bad_share=0\.1'):
        for _ in range(2):
            dataset[1], dataset[2]


def test_workers_count_bad_images_together(photo_folder):
    for number in (2, 3):
        (photo_folder / f'photo_{number}.png').write_bytes(b'broken')
    dataset = PhotoDataset(data_root=str(photo_folder), pipeline=PIPELINE, max_bad_share=0.1)
    torch.manual_seed(2)
    # each worker gets one of them, and draws a good one in its place
    with pytest.raises(ValueError, match='2 of 8 images are bad'):
        list(DataLoader(dataset, sampler=[2, 3], num_workers=2, collate_fn=list))


def test_a_share_of_bad_images_outside_of_0_to_1_is_refused(photo_folder):
    with pytest.raises(ValueError, match='max_bad_share, a share, from 0 to 1, got 5'):
        PhotoDataset(data_root=str(photo_folder), pipeline=PIPELINE, max_bad_share=5)


def test_test_set_leaves_bad_images_out_for_every_model(photo_folder, warnings_said):
    (photo_folder / 'photo_2.png').write_bytes(b'broken')
    dataset = PhotoDataset(data_root=str(photo_folder), pipeline=PIPELINE, test_mode=True)
    assert len(dataset) == 7
    assert 'photo_2.png cannot be opened' in warnings_said[0]


def test_test_set_of_broken_files_is_refused(tmp_path, warnings_said):
    (tmp_path / 'only.png').write_bytes(b'broken')
    with pytest.raises(ValueError, match='None of the files'):
        PhotoDataset(data_root=str(tmp_path), pipeline=PIPELINE, test_mode=True)

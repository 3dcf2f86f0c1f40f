"""Holes of annotated objects: what is drawn, which photographs get a mask, and what is refused."""

import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData

from cainet_mm.apis import pair_files
from cainet_mm.datasets import BadImageError, LoadHoleOfObjects, PhotoDataset, object_masks
from cainet_mm.datasets.annotations import AnnotationError, draw_hole, draw_polygons, read_annotations

# of a model's stand-in; row and column ranges of an object of 10x20 pixels in a photograph of 40x60
META = dict(classes=('sky', 'person'))
OBJECT = (slice(10, 20), slice(30, 50))
SQUARE = [30, 10, 50, 10, 50, 20, 30, 20]


def expected(grow=0):
    hole = np.zeros((40, 60), bool)
    hole[OBJECT[0].start - grow : OBJECT[0].stop + grow, OBJECT[1].start - grow : OBJECT[1].stop + grow] = True
    return hole


def runs_of(hole):
    flat = hole.ravel(order='F')
    edges = np.flatnonzero(np.diff(flat, prepend=False, append=False))
    return np.diff([0, *edges, flat.size]).tolist()


@pytest.fixture
def photos(tmp_path):
    """Photographs a.jpg, sub/b.png and c.jpg."""
    folder = tmp_path / 'photos'
    (folder / 'sub').mkdir(parents=True)
    for name in ('a.jpg', 'sub/b.png', 'c.jpg'):
        cv2.imwrite(str(folder / name), np.full((40, 60, 3), 90, np.uint8))
    return folder


def coco(tmp_path, annotations, **changes):
    content = dict(
        images=[
            dict(id=i, file_name=name, height=40, width=60) for i, name in enumerate(('a.jpg', 'sub/b.png', 'c.jpg'))
        ],
        categories=[dict(id=1, name='person'), dict(id=18, name='dog')],
        annotations=[dict(id=100 + i, bbox=[30, 10, 20, 10], **one) for i, one in enumerate(annotations)],
    )
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps({**content, **changes}))
    return path


PERSON = dict(image_id=0, category_id=1)


@pytest.mark.parametrize('kind', ['runs', 'box', 'compressed runs'])
def test_coco_objects_are_drawn_exactly(kind, tmp_path, monkeypatch):
    fake = ModuleType('pycocotools.mask')
    fake.decode = lambda runs: expected().astype(np.uint8) if runs == dict(size=[40, 60], counts='abc') else None
    monkeypatch.setitem(sys.modules, 'pycocotools', ModuleType('pycocotools'))
    monkeypatch.setitem(sys.modules, 'pycocotools.mask', fake)
    shape = dict(
        runs=dict(segmentation=dict(size=[40, 60], counts=runs_of(expected()))),
        box={},
        **{'compressed runs': dict(segmentation=dict(size=[40, 60], counts='abc'))},
    )[kind]
    photo = read_annotations(coco(tmp_path, [PERSON | shape])).photos['a.jpg']
    assert np.array_equal(draw_hole(photo.objects, (40, 60)), expected())


def test_polygons_are_drawn_to_half_a_pixel_and_holes_grow():
    hole = draw_polygons([np.array(SQUARE, float).reshape(-1, 2), np.array([[0, 0], [4, 0], [0, 4]], float)], (40, 60))
    assert hole[expected()].all() and hole[:4, :4].any() and not hole[:4, :4].all()
    assert not (hole[5:] & ~expected(1)[5:]).any()
    one = SimpleNamespace(draw=lambda size: expected())
    grown = draw_hole([one], (40, 60), grow=3)
    rows, columns = np.mgrid[:40, :60]
    distance = np.hypot(np.maximum(0, abs(rows - 14.5) - 4.5), np.maximum(0, abs(columns - 39.5) - 9.5))
    assert grown[distance <= 2.2].all() and not grown[distance > 3.2].any() and grown[7, 40]


def test_people_are_removed_from_a_folder_by_two_commands(photos, tmp_path, call_tool):
    annotations = [PERSON, dict(image_id=1, category_id=1, segmentation=[SQUARE]), dict(image_id=2, category_id=18)]
    path = coco(tmp_path, annotations)
    out = tmp_path / 'masks'
    given = (photos, out, '--annotations', path, '--grow', 2)
    done = call_tool('annotation_masks', *given, '--classes', 'person')
    assert not done.returncode, done.stderr
    assert '2 of 3 photographs' in done.stdout and '1 have none, such as c.jpg' in done.stdout
    tasks, unused, _ = pair_files(photos, out, tmp_path / 'filled')
    masks = {task.name.as_posix(): task.mask for task in tasks}
    assert masks == {'a.jpg': out / 'a_mask.png', 'sub/b.png': out / 'sub/b_mask.png', 'c.jpg': None} and not unused
    mask = cv2.imread(str(out / 'a_mask.png'), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255} and mask[8, 40] == 255 and mask[7, 40] == 0
    # of another class: those of people are still there
    done = call_tool('annotation_masks', *given, '--classes', 'dog')
    assert done.returncode == 1 and '2 masks of these photographs were in' in done.stderr and 'a_mask' in done.stderr
    # by the ids of annotations, with empty masks for the others
    call_tool('annotation_masks', *given, '--instances', 102, '--empty-masks')
    sums = [cv2.imread(str(out / name)).any() for name in ('a_mask.png', 'sub/b_mask.png', 'c_mask.png')]
    assert sums == [False, False, True]


def test_boxes_of_voc_and_label_maps(photos, tmp_path):
    (tmp_path / 'voc/sub').mkdir(parents=True)
    box = '<xmin>31</xmin><ymin>11</ymin><xmax>50</xmax><ymax>20</ymax>'
    (tmp_path / 'voc/sub/b.xml').write_text(
        '<annotation><filename>b.png</filename><size><width>60</width><height>40</height></size>'
        f'<object><name>car</name><bndbox>{box}</bndbox></object></annotation>'
    )
    (tmp_path / 'maps/sub').mkdir(parents=True)
    cv2.imwrite(str(tmp_path / 'maps/sub/b.png'), expected().astype(np.uint8) * 2)
    (tmp_path / 'names.txt').write_text('background\nroad\ncar\n')
    for folder, names in (('voc', None), ('maps', tmp_path / 'names.txt')):
        annotations = read_annotations(tmp_path / folder, names)
        names = object_masks.list_photos(photos, tmp_path / 'out')
        masks = {
            str(name): hole for name, hole in object_masks.masks_of_annotations(photos, names, annotations, ['car'])
        }
        assert np.array_equal(masks['sub/b.png'], expected()) and masks['a.jpg'] is masks['c.jpg'] is None


@pytest.mark.parametrize(
    ('annotations', 'changes', 'arguments', 'what'),
    [
        ([PERSON], {}, ['--classes', 'persons'], r"no class 'persons'; the nearest names are person, dog"),
        ([PERSON], {}, ['--instances', '7'], 'no annotation with the id 7'),
        ([PERSON], {}, [], 'nothing is chosen'),
        ([PERSON], {}, ['--classes', 'dog', '--grow', '-1'], '--grow takes .* got -1'),
        (
            [PERSON],
            {},
            ['--classes', 'dog', '--names', 'names.txt'],
            r'--names names\.txt is for a folder of',
        ),
        (
            [PERSON | dict(image_id=9)],
            {},
            ['--classes', 'person'],
            'Annotation 100 .* is of image 9, which is not among',
        ),
        (
            [PERSON],
            dict(images=[dict(id=0, file_name='x.jpg', height=40, width=60)]),
            ['--classes', 'person'],
            r'1 annotated photographs are not in .*, such as x\.jpg',
        ),
        (
            [PERSON, dict(image_id=1, category_id=1)],
            dict(
                images=[dict(id=i, file_name=n, height=40 + i, width=60) for i, n in enumerate(('a.jpg', 'sub/b.png'))]
            ),
            ['--classes', 'person'],
            r'b\.png is for 41x60 pixels .* has 40x60',
        ),
        ([PERSON | dict(segmentation=dict(size=[40, 60], counts=[1, 2]))], {}, ['--classes', 'person'], 'has runs of'),
        (
            [PERSON | dict(segmentation=dict(size=[40, 60], counts='a'))],
            {},
            ['--classes', 'person'],
            'pip install pyco',
        ),
        ([], dict(categories=None), ['--classes', 'person'], 'cannot be read as a COCO JSON'),
    ],
)
def test_what_does_not_fit_gets_a_sentence_and_nothing_is_written(
    photos, tmp_path, call_tool, monkeypatch, annotations, changes, arguments, what
):
    monkeypatch.setitem(sys.modules, 'pycocotools.mask', None)
    path = coco(tmp_path, annotations, **changes)
    done = call_tool('annotation_masks', photos, tmp_path / 'masks', '--annotations', path, *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert re.search(what, line), line
    assert not (tmp_path / 'masks').exists()


def test_a_detector_has_no_instances(photos, call_tool):
    detector = ['--detector', 'config.py', 'x.pth', '--classes', 'person', '--instances', '7']
    done = call_tool('annotation_masks', photos, 'masks', *detector)
    assert done.returncode == 2 and '--instances are ids of annotations of COCO' in done.stderr


@pytest.mark.parametrize('package', ['mmdet', 'mmseg'])
def test_a_model_finds_the_objects_where_its_package_is_installed(package, photos, tmp_path, monkeypatch):
    """A stand-in for the package, with the names and the results that it has."""
    (tmp_path / 'model.py').write_text(f"default_scope = '{package}'\n")
    monkeypatch.setitem(sys.modules, f'{package}.apis', None)
    with pytest.raises(AnnotationError, match=f'{package}, which .*model.py is for, cannot be imported'):
        object_masks.load_finder(tmp_path / 'model.py', 'x.pth', ['person'])

    mask = torch.from_numpy(expected())
    found = InstanceData(
        labels=torch.tensor([1, 1]),
        scores=torch.tensor([0.9, 0.1]),
        bboxes=torch.zeros(2, 4),
        masks=torch.stack((mask, ~mask)),
    )
    sample = SimpleNamespace(pred_instances=found, pred_sem_seg=PixelData(data=mask[None].long()))
    apis, loaded = ModuleType(f'{package}.apis'), []
    load, infer = object_masks.LOADERS[package]
    setattr(apis, load, lambda *given, device: loaded.append(given) or SimpleNamespace(dataset_meta=META))
    setattr(apis, infer, lambda model, path: sample)
    monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setitem(sys.modules, f'{package}.apis', apis)
    finder = object_masks.load_finder(tmp_path / 'model.py', 'x.pth', ['person'])
    assert loaded == [(str(tmp_path / 'model.py'), 'x.pth')]
    masks = dict(object_masks.masks_of_detector(photos, [Path('a.jpg')], finder, ['person']))
    assert [np.array_equal(hole, expected()) for hole in masks.values()] == [True]
    with pytest.raises(AnnotationError, match="no class 'persn'; the nearest names are person"):
        object_masks.load_finder(tmp_path / 'model.py', 'x.pth', ['persn'])


def test_the_transform_makes_the_same_holes_of_a_data_set(photos, tmp_path):
    path = coco(tmp_path, [PERSON, dict(image_id=1, category_id=18)])
    draw = dict(type='LoadHoleOfObjects', annotations=str(path), classes=['person'])
    dataset = PhotoDataset(
        data_root=str(photos), recursive=True, pipeline=[dict(type='LoadPhoto'), draw], max_bad_share=0.9
    )
    assert np.array_equal(dataset[0]['mask'], expected()[..., None])
    with pytest.raises(BadImageError, match=r'sub/b has no object of person in .*instances\.json'):
        dataset.pipeline(dataset.get_data_info(2))
    with pytest.raises(BadImageError, match='for 40x60 pixels, and it has 8x8'):
        LoadHoleOfObjects(str(path), ['person'])(dict(gt=np.zeros((8, 8, 3)), key='a'))


@pytest.mark.parametrize('annotated', [(0, 1), (0,)])
def test_the_transform_refuses_photographs_that_differ_in_their_endings_alone(annotated, tmp_path):
    images = [dict(id=i, file_name=name, height=40, width=60) for i, name in enumerate(('a.jpg', 'a.png'))]
    path = coco(tmp_path, [dict(image_id=number, category_id=1) for number in annotated], images=images)
    with pytest.raises(AnnotationError, match=r"a\.jpg and another photograph .* are both 'a' .*; rename one"):
        LoadHoleOfObjects(str(path), ['person'])


def test_label_maps_may_have_dots_in_their_names(tmp_path):
    (tmp_path / 'maps').mkdir()
    for number in range(2):
        cv2.imwrite(str(tmp_path / f'maps/frame.{number}.png'), np.full((8, 8), number, np.uint8))
    draw = LoadHoleOfObjects(str(tmp_path / 'maps'), ['1'])
    assert draw(dict(gt=np.zeros((8, 8, 3), np.uint8), key='frame.1'))['mask'].all()
    with pytest.raises(BadImageError, match=r'frame\.0 has no object'):
        draw(dict(gt=np.zeros((8, 8, 3), np.uint8), key='frame.0'))

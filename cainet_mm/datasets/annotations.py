"""Annotated objects of photographs as holes: COCO JSON, VOC XML and label maps."""

import difflib
import importlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
from PIL import Image

from ..utils.errors import describe_error
from ..utils.photo_paths import open_image_file, read_list
from .errors import reading
from .masks import grow_hole

Size = tuple[int, int]
# polygons are drawn to a sixteenth of a pixel
SHIFT = 4


class AnnotationError(ValueError):
    """Annotations cannot be read, do not fit the photographs, or have no such class; the message says what does."""


@dataclass(frozen=True)
class AnnotatedObject:
    """An object in a photograph: its class, what draws its mask of a size (H, W), and its id in COCO's files."""

    label: str
    draw: Callable[[Size], np.ndarray]
    number: int | None = None


@dataclass(frozen=True)
class AnnotatedPhoto:
    """What is annotated in a photograph: its name in its folder (of label maps without an ending), size and objects."""

    name: str
    size: Size
    objects: list[AnnotatedObject] = field(default_factory=list)


@dataclass(frozen=True)
class Annotations:
    """What is annotated in photographs: the classes that there are, and the photographs by their names."""

    classes: Sequence[str]
    photos: Mapping[str, AnnotatedPhoto]


def read_annotations(path: str | Path, names: str | Path | None = None) -> Annotations:
    """Read annotations: a COCO JSON of instances, a folder of VOC's XML files, or one of label maps as PNGs.

    Args:
        path: The file or the folder.
        names: For label maps, a text file with the names of the values from 0 on, one a line; else these are names.

    Raises:
        FileNotFoundError: There is nothing at a path.
        AnnotationError: It is something else, or damaged.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'There are no annotations at {path}; give a COCO JSON, or a folder of XMLs or PNGs.')
    if path.is_file():
        return read_coco(path)
    if next(path.rglob('*.xml'), None) is not None:
        return read_voc(path)
    if next(path.rglob('*.png'), None) is not None:
        return read_label_maps(path, None if names is None else read_list(names))
    raise AnnotationError(f'The folder {path} has neither XML files of VOC nor label maps as PNGs.')


def read_coco(path: Path) -> Annotations:
    """Read a COCO JSON: polygons, runs of pixels (RLE), and boxes where an annotation has neither."""
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        classes = {category['id']: category['name'] for category in content['categories']}
        photos = {
            image['id']: AnnotatedPhoto(image['file_name'], (image['height'], image['width']))
            for image in content['images']
        }
        for entry in content['annotations']:
            if entry['image_id'] not in photos:
                raise AnnotationError(
                    f'Annotation {entry.get("id")} in {path} is of image {entry["image_id"]}, which is not among its '
                    'images; add that image, or leave the annotation out.'
                )
            photo = photos[entry['image_id']]
            found = AnnotatedObject(classes[entry['category_id']], draw_of_coco(entry, photo.size), entry.get('id'))
            photo.objects.append(found)
    except AnnotationError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise AnnotationError(
            f'{path} cannot be read as a COCO JSON of instances, with images, annotations and categories '
            f'({type(error).__name__}: {describe_error(error)}).'
        ) from error
    return Annotations(list(classes.values()), {photo.name: photo for photo in photos.values()})


def draw_of_coco(entry: Mapping, size: Size) -> Callable[[Size], np.ndarray]:
    """What draws an annotation of COCO's; compressed runs (RLE) need pycocotools."""
    shape = entry.get('segmentation')
    if isinstance(shape, Mapping):
        counts = shape['counts']
        if tuple(shape['size']) != tuple(size) or isinstance(counts, list) and sum(counts) != math.prod(size):
            raise AnnotationError(
                f'Annotation {entry.get("id")} has runs of {shape["size"]} pixels, and its image has {list(size)}.'
            )
        if isinstance(counts, list):
            # outside and inside in turn, column by column
            inside = np.arange(len(counts)) % 2 == 1
            return lambda size: np.repeat(inside, counts).reshape(size, order='F')
        try:
            decode = importlib.import_module('pycocotools.mask').decode
        except ImportError as error:
            raise AnnotationError('Compressed runs (RLE) are read by pycocotools: pip install pycocotools.') from error
        return lambda size: decode(dict(size=list(size), counts=counts)).astype(bool)
    if shape:
        return partial(draw_polygons, [np.asarray(polygon, np.float64).reshape(-1, 2) for polygon in shape])
    left, top, width, height = entry['bbox']
    return partial(draw_box, (left, top, left + width, top + height))


def draw_polygons(polygons: Iterable[np.ndarray], size: Size) -> np.ndarray:
    """Draw polygons, (N, 2) each, of x and y, in which a pixel is from its number to the next; their edges belong."""
    mask = np.zeros(size, np.uint8)
    for polygon in polygons:
        # OpenCV counts from the middle of a pixel
        points = np.round((polygon - 0.5) * 2**SHIFT).astype(np.int32)
        cv2.fillPoly(mask, [points], 1, shift=SHIFT)
    return mask.astype(bool)


def draw_box(box: tuple[float, float, float, float], size: Size) -> np.ndarray:
    """Draw a box of left, top, right and bottom, whose pixels on the edge belong."""
    mask = np.zeros(size, bool)
    left, top = (max(0, math.floor(value)) for value in box[:2])
    right, bottom = (max(0, math.ceil(value)) for value in box[2:])
    mask[top:bottom, left:right] = True
    return mask


def read_voc(folder: Path) -> Annotations:
    """Read VOC's XML files, a photograph and its boxes each; boxes count pixels from 1."""
    photos, classes = {}, {}
    for path in sorted(folder.rglob('*.xml')):
        try:
            root = ElementTree.parse(path).getroot()
            name = path.relative_to(folder).with_name(Path(text_at(root, 'filename')).name).as_posix()
            size = int(text_at(root, 'size/height')), int(text_at(root, 'size/width'))
            objects = []
            for entry in root.iter('object'):
                sides = (float(text_at(entry, f'bndbox/{side}')) for side in ('xmin', 'ymin', 'xmax', 'ymax'))
                left, top, right, bottom = sides
                draw = partial(draw_box, (left - 1, top - 1, right, bottom))
                objects.append(AnnotatedObject(text_at(entry, 'name'), draw))
        except (OSError, ElementTree.ParseError, ValueError) as error:
            raise AnnotationError(
                f'{path} cannot be read as an annotation of VOC, with filename, size, and objects with name and bndbox '
                f'({type(error).__name__}: {describe_error(error)}).'
            ) from error
        photos[name] = AnnotatedPhoto(name, size, objects)
        classes.update(dict.fromkeys(one.label for one in objects))
    return Annotations(list(classes), photos)


def text_at(element: ElementTree.Element, path: str) -> str:
    """The text of a part of an XML element; ``ValueError`` where there is none."""
    text = element.findtext(path)
    if not text:
        raise ValueError(f'there is no {path}')
    return text


def read_label_maps(folder: Path, names: Sequence[str] | None) -> Annotations:
    """Read label maps, PNGs named as the photographs, whose grey levels or indices of a palette are the classes."""
    photos, classes = {}, {name: None for name in names or ()}
    for path in sorted(folder.rglob('*.png')):
        labels = labels_in(path)
        name = path.relative_to(folder).with_suffix('').as_posix()
        photo = photos[name] = AnnotatedPhoto(name, labels.shape)
        for value in np.unique(labels).tolist():
            label = names[value] if names is not None and value < len(names) else str(value)
            photo.objects.append(AnnotatedObject(label, partial(draw_label, path, value)))
            classes[label] = None
    return Annotations(list(classes), photos)


def labels_in(path: Path) -> np.ndarray:
    with reading(f'The label map {path}'), Image.open(path) as image:
        labels = np.asarray(image)
    if labels.ndim != 2:
        raise AnnotationError(f'The label map {path} has colours; it needs one number for each pixel, or a palette.')
    return labels


def draw_label(path: Path, value: int, size: Size) -> np.ndarray:
    return labels_in(path) == value


def choose_objects(
    annotations: Annotations, classes: Collection[str] = (), instances: Collection[int] = ()
) -> dict[str, list[AnnotatedObject]]:
    """Choose objects by their class or the id of their annotation: those of each photograph that has some, by its name.

    ``AnnotationError`` where there is no such class or annotation.
    """
    require_classes(annotations.classes, classes)
    chosen = {
        name: [one for one in photo.objects if one.label in classes or one.number in instances]
        for name, photo in annotations.photos.items()
    }
    absent = set(instances) - {one.number for objects in chosen.values() for one in objects}
    if absent:
        raise AnnotationError(f'There is no annotation with the id {", ".join(map(str, sorted(absent)))}.')
    return {name: objects for name, objects in chosen.items() if objects}


def require_classes(known: Sequence[str], wanted: Iterable[str]) -> None:
    """Refuse the name of a class that there is not, by an ``AnnotationError`` with the nearest names."""
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.0) or ['none at all']
            raise AnnotationError(f'There is no class {name!r}; the nearest names are {", ".join(near)}.')


def draw_hole(objects: Iterable[AnnotatedObject], size: Size, grow: int = 0) -> np.ndarray:
    """Draw objects as one hole, (H, W), and grow it by some pixels, as shadows and edges are not annotated."""
    hole = np.zeros(size, bool)
    for one in objects:
        hole |= one.draw(size)
    return grow_hole(hole, grow)


def upright_size(path: Path) -> Size:
    """Height and width of a photograph as it is seen."""
    with open_image_file(path) as image:
        width, height = image.size
        # EXIF: those of 5 and more lie on their side
        return (width, height) if image.getexif().get(0x0112, 1) >= 5 else (height, width)

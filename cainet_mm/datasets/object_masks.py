"""Masks of the objects in a folder of photographs, from annotations or from a model that finds them."""

import importlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from mmengine.config import Config

from ..utils.photo_paths import find_files, short_name
from .annotations import (
    AnnotatedObject,
    AnnotationError,
    Annotations,
    choose_objects,
    draw_box,
    draw_hole,
    require_classes,
    upright_size,
)
from .mask_names import masks_among, match_masks, stem_of
from .masks import encode_mask

# what finds objects in a photograph; the classes that it knows
Finder = Callable[[Path], list[AnnotatedObject]]
LOADERS = dict(mmdet=('init_detector', 'inference_detector'), mmseg=('init_model', 'inference_model'))


def list_photos(photos: Path, out: Path) -> list[Path]:
    """Name the photographs in a folder and those below it, without the masks beside them and in ``out``."""
    names = [path.relative_to(photos) for path in find_files(photos, [out]).images]
    masks = masks_among(names)
    return [name for name in names if name not in masks]


def masks_from_before(out: Path, names: Sequence[Path], written: Collection[Path]) -> list[Path]:
    """Name the masks of photographs in a folder that are not among those that were written to it."""
    there = {path.relative_to(out) for path in find_files(out).images} - {*names}
    masks = (case.mask for case in match_masks(names, sorted(there))[0])
    return [mask for mask in masks if mask is not None and mask not in written]


def masks_of_annotations(
    photos: Path,
    names: Sequence[Path],
    annotations: Annotations,
    classes: Collection[str],
    instances: Collection[int] = (),
    grow: int = 0,
) -> Iterator[tuple[Path, np.ndarray | None]]:
    """Draw the mask of each photograph of a folder, which are named in it: objects of the classes, and some instances.

    Yields:
        The photograph's name, and its hole, (H, W), some pixels larger than the objects; ``None`` where it has none.

    Raises:
        AnnotationError: There is no such class or annotation; or a photograph with such an object is not there, or has
            another size.
    """
    chosen = choose_objects(annotations, classes, instances)
    # label maps tell the name without its ending
    owners = {name: key for name in names for key in (name.as_posix(), stem_of(name).as_posix()) if key in chosen}
    absent = sorted(chosen.keys() - owners.values())
    if absent:
        raise AnnotationError(
            f'{len(absent)} annotated photographs are not in {photos}, such as {absent[0]}; give the folder that the '
            'names in the annotations are relative to.'
        )
    for name in names:
        if name not in owners:
            yield name, None
            continue
        size, annotated = upright_size(photos / name), annotations.photos[owners[name]].size
        if tuple(annotated) != size:
            sizes = ['x'.join(map(str, one)) for one in (annotated, size)]
            raise AnnotationError(
                f'The annotation of {name} is for {sizes[0]} pixels (height x width), and {photos / name} has '
                f'{sizes[1]}; give the photographs that were annotated.'
            )
        yield name, draw_hole(chosen[owners[name]], size, grow)


def masks_of_detector(
    photos: Path, names: Sequence[Path], finder: Finder, classes: Collection[str], grow: int = 0
) -> Iterator[tuple[Path, np.ndarray | None]]:
    """Draw the masks as :func:`masks_of_annotations` does, from what a model finds."""
    for name in names:
        objects = [one for one in finder(photos / name) if one.label in classes]
        yield name, draw_hole(objects, upright_size(photos / name), grow) if objects else None


def drawn(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Hand out the mask that a model has drawn of an object."""
    return mask


def load_finder(
    config: str | Path, checkpoint: str, classes: Collection[str], device: str = 'cpu', score: float = 0.3
) -> Finder:
    """Load a detector of MMDetection's, with masks or boxes, or a segmentor of MMSegmentation's.

    ``AnnotationError`` where the config is of neither, its package is not installed, or the model has no such class.
    """
    package = Config.fromfile(config).get('default_scope')
    if package not in LOADERS:
        raise AnnotationError(f'The config {config} has the default_scope {package!r}; it takes mmdet or mmseg.')
    try:
        apis = importlib.import_module(f'{package}.apis')
    except ImportError as error:
        raise AnnotationError(f'{package}, which {config} is for, cannot be imported ({error}); install it.') from error
    load, infer = (getattr(apis, name) for name in LOADERS[package])
    model = load(str(config), checkpoint, device=device)
    known = model.dataset_meta['classes']
    require_classes(known, classes)

    def find(path: Path) -> list[AnnotatedObject]:
        result = infer(model, str(path))
        if package == 'mmseg':
            labels = result.pred_sem_seg.data[0].cpu().numpy()
            return [AnnotatedObject(name, partial(drawn, labels == i)) for i, name in enumerate(known) if i in labels]
        kept = result.pred_instances[result.pred_instances.scores >= score].cpu().numpy()
        if 'masks' in kept:
            draws = [partial(drawn, mask.astype(bool)) for mask in kept.masks]
        else:
            draws = [partial(draw_box, tuple(box)) for box in kept.bboxes]
        return [AnnotatedObject(known[label], draw) for label, draw in zip(kept.labels, draws, strict=True)]

    return find


def name_masks(
    masks: Iterable[tuple[Path, np.ndarray | None]], photos: Path, empty: bool = False
) -> tuple[dict[Path, bytes], list[Path]]:
    """Name the masks as :func:`pair_files` finds them, ``a_mask.png`` for ``a.jpg``, and encode them.

    Returns the content of the files by their names, all of it, so that nothing is written before all is known to be
    right; and the photographs without a hole, which with ``empty`` have masks, too, of zeros. ``AnnotationError`` where
    two photographs differ in their ending alone.
    """
    files, without = {}, []
    for name, hole in masks:
        if hole is None:
            without.append(name)
            if not empty:
                continue
            hole = np.zeros(upright_size(photos / name), bool)
        place = name.with_name(short_name(name.stem, '_mask.png'))
        if place in files:
            raise AnnotationError(f'{name} and another photograph would have one mask, {place}; rename one of them.')
        files[place] = encode_mask(hole)
    return files, without

"""A transform that makes holes of annotated objects."""

import os
from collections import Counter
from collections.abc import Sequence

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS

from ..utils.photo_paths import IMAGE_ENDINGS
from .annotations import AnnotationError, choose_objects, draw_hole, read_annotations
from .errors import BadImageError


@TRANSFORMS.register_module()
class LoadHoleOfObjects(BaseTransform):
    """Makes a photograph's annotated objects its hole: ``mask``, (H, W, 1), uint8, 1 in the hole.

    It stands before crops, as the annotations are for the whole photograph ``gt``, which ``key`` names.

    Args:
        annotations: As :func:`~cainet_mm.datasets.annotations.read_annotations` takes them, and names.
        classes: Names of the classes whose objects are the hole.
        instances: Ids of annotations of a COCO JSON that are, too.
        grow: By how many pixels the hole is larger than the objects.
        names: File with the names of the values of label maps.

    Raises:
        FileNotFoundError: There are no annotations.
        AnnotationError: They cannot be read, there is no such class or annotation, or two photographs differ in their
            endings alone.
        BadImageError: A photograph has no such object, or another size than its annotation.
    """

    def __init__(
        self,
        annotations: str,
        classes: Sequence[str] = (),
        instances: Sequence[int] = (),
        grow: int = 0,
        names: str | None = None,
    ) -> None:
        self.annotations, self.names, self.grow = annotations, names, grow
        self.classes, self.instances = tuple(classes), tuple(instances)
        known = read_annotations(annotations, names)
        # data sets name photographs without their endings, as label maps do
        keys = {
            name: os.path.splitext(name)[0] if name.lower().endswith(IMAGE_ENDINGS) else name for name in known.photos
        }
        uses = Counter(keys.values())
        self._objects = {}
        for name, objects in choose_objects(known, classes, instances).items():
            if uses[keys[name]] > 1:
                raise AnnotationError(
                    f'{name} and another photograph in {annotations} are both {keys[name]!r} without their endings, as '
                    'data sets name them; rename one of them.'
                )
            for key in {name, keys[name]}:
                self._objects[key] = (known.photos[name].size, objects)

    def transform(self, results: dict) -> dict:
        size = results['gt'].shape[:2]
        if results['key'] not in self._objects:
            raise BadImageError(
                f'{results["key"]} has no object of {", ".join(self.classes) or "those instances"} in '
                f'{self.annotations}; list those that have, as ann_file of the data set.'
            )
        annotated, objects = self._objects[results['key']]
        if tuple(annotated) != size:
            raise BadImageError(
                f'The annotation of {results["key"]} is for {annotated[0]}x{annotated[1]} pixels, and it has '
                f'{size[0]}x{size[1]}; put LoadHoleOfObjects before what crops or scales.'
            )
        results['mask'] = draw_hole(objects, size, self.grow)[..., None].astype(np.uint8)
        return results

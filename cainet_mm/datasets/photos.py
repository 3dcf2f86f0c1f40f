"""Folders and lists of photographs."""

import os
import re
from contextlib import nullcontext
from logging import WARNING
from pathlib import Path

from mmagic.datasets import BasicImageDataset
from mmcv.transforms import Compose
from mmengine.logging import print_log
from mmengine.registry import DATASETS

from ..utils.photo_paths import IMAGE_ENDINGS, find_files, open_image_file, read_names
from .bad_images import BadImages
from .errors import BadImageError, BadMaskError
from .mask_names import masks_among, match_masks
from .masks import read_hole
from .transforms import LoadHole

# how NumPy fails in transforms of MMagic on a mask that has another size than its image
SHAPES = re.compile(r'broadcast together with shapes \((\d+),(\d+),3\) \((\d+),(\d+),1\)')


@DATASETS.register_module()
class PhotoDataset(BasicImageDataset):
    """MMagic's ``BasicImageDataset`` that skips bad files and says what is wrong with the data.

    A missing folder or list and an empty one stop the run at its start. A bad image is skipped with a warning, and
    counted (``bad_images``); beyond a share of bad images the run stops. In test mode, where each image counts, all
    headers are looked at in the beginning and the bad ones left out, so every model sees the same images. The order is
    that of the sorted names. Of a folder, images that are named as masks of others (``a_mask.png`` beside ``a.png``)
    are left out, and what else is no photograph is left alone; both are said.

    A list names images as :func:`~cainet_mm.utils.photo_paths.read_names` says: the ``key`` of an image, by which masks
    are seeded, is the same however its name is spelled.

    Args:
        data_prefix: Folders below ``data_root``; the photographs are under ``gt``.
        max_bad_share: Share of the images that may be bad. One bad image is always tolerated.
        img_suffix: Endings of the images in a folder, in lower case; files may have them in any.
        kwargs: As MMagic's: ``ann_file``, ``data_root``, ``pipeline``, ``test_mode``, ``recursive``, ...

    Raises:
        FileNotFoundError: A folder or the list does not exist.
        ValueError: There are no images, the list has another encoding than UTF-8, or ``max_bad_share`` is outside
            [0, 1].
        TooManyBadImagesError: There are too many bad ones.
    """

    def __init__(
        self,
        data_prefix: dict[str, str] = dict(gt=''),
        max_bad_share: float = 0.05,
        img_suffix: tuple[str, ...] = IMAGE_ENDINGS,
        **kwargs,
    ) -> None:
        if not 0 <= max_bad_share <= 1:
            raise ValueError(f'PhotoDataset takes max_bad_share, a share, from 0 to 1, got {max_bad_share}.')
        self.max_bad_share = max_bad_share
        super().__init__(data_prefix=dict(data_prefix), filename_tmpl={}, img_suffix=img_suffix, **kwargs)

    def load_data_list(self) -> list[dict]:
        is_local = self.backend_args is None
        for folder in self.data_prefix.values():
            if is_local and not Path(folder).is_dir():
                raise FileNotFoundError(
                    f'The data folder {folder!r} does not exist. Put or link the photographs there, or set data_root '
                    f'(now {self.data_root!r}) and data_prefix of the data set to where they are.'
                )
        if is_local and self.use_ann_file and not Path(self.ann_file).is_file():
            raise FileNotFoundError(
                f'The image list {self.ann_file!r} does not exist. Write one file name per line, relative to the '
                "data folder, or set ann_file='' to take every image in the folder."
            )
        images = sorted(map(self._info_of, self._get_path_list()), key=lambda info: info['key'])
        where = self.ann_file if self.use_ann_file else self.data_prefix[self.search_key]
        if not self.use_ann_file:
            images = self._leave_out_masks(images)
        if not images:
            endings = ', '.join(self.img_suffix)
            raise ValueError(f'{where!r} names no images of {endings}; for folders in folders set recursive=True.')
        self.bad_images = BadImages(len(images), self.max_bad_share)
        if self.test_mode:
            images = [info for index, info in enumerate(images) if self._opens(index, info['gt_path'])]
            if not images:
                raise ValueError(f'None of the files that {where!r} names can be opened as an image.')
        return images

    def _name_of(self, info: dict) -> Path:
        return Path(os.path.relpath(info['gt_path'], self.data_prefix[self.search_key]))

    def _leave_out_masks(self, images: list[dict]) -> list[dict]:
        # most folders have none, and millions of names take their time
        if not any('mask' in info['gt_path'].lower() for info in images):
            return images
        among = masks_among(map(self._name_of, images))
        if among:
            message = f'{len(among)} images are named as masks of others, such as {min(among)}, and are no photographs.'
            print_log(message, 'current')
        return [info for info in images if self._name_of(info) not in among]

    def _info_of(self, name: str) -> dict:
        paths = {f'{key}_path': os.path.join(folder, name) for key, folder in self.data_prefix.items()}
        return dict(key=os.path.splitext(name)[0], **paths)

    def _get_path_list_from_ann(self) -> list[str]:
        """Read the names of the list. MMagic's own ends a name at its first blank; a label after it is left out."""
        return read_names(self.ann_file, self.data_prefix[self.search_key], self.backend_args)

    def _get_path_list_from_folder(self) -> list[str]:
        """Find the images of the folder; MMagic's own leaves out links, and what is written in mixed letter case."""
        if self.backend_args is not None:
            return super()._get_path_list_from_folder()
        folder = Path(self.data_prefix[self.search_key])
        found = find_files(folder, recursive=self.recursive, endings=self.img_suffix)
        if left := found.left_alone():
            print_log(left, 'current')
        return [path.relative_to(folder).as_posix() for path in found.images]

    def _opens(self, index: int, path: str) -> bool:
        try:
            with nullcontext() if self.backend_args is not None else open_image_file(path):
                return True
        except OSError as error:
            self.bad_images.add(index, path, f'{path} cannot be opened as an image ({error}).')
            return False

    def prepare_data(self, idx: int) -> dict | None:
        """Run the pipeline; ``None``, for which MMEngine takes another image, where the image is bad."""
        try:
            return super().prepare_data(idx)
        except BadImageError as error:
            if self.test_mode:
                raise
            self.bad_images.add(idx, self.get_data_info(idx)['gt_path'], str(error))
            return None
        except ValueError as error:
            shapes = SHAPES.search(str(error))
            if shapes is None:
                raise
            raise BadMaskError(
                f'The mask that was drawn for {self.get_data_info(idx)["gt_path"]} is {shapes[3]}x{shapes[4]} pixels '
                f'and the image, as the pipeline has cropped it, {shapes[1]}x{shapes[2]}; both need the same size. '
                'Take other masks (another set, or img_shape of their generators), or other crops.'
            ) from error


@DATASETS.register_module()
class PhotoMaskDataset(PhotoDataset):
    """Photographs with masks of their own, in another folder or beside them, by name, with any image's ending.

    A mask has its photograph's name, or is named after it: ``a_mask.png``, ``a_mask_2.png``, ``a_mask001.png``. Several
    masks of a photograph are several cases. Each entry gets ``mask_path`` for :class:`LoadHole`. In test mode all masks
    are read in the beginning: one that cannot be used stops the run, and cases without a hole, which have no metrics,
    are left out with a warning.

    Args:
        mask_root: Folder of the masks, with the photographs' folders below it; it may be that of the photographs.
        kwargs: As :class:`PhotoDataset`'s.

    Attributes:
        without_hole: Names of the cases that were left out.

    Raises:
        FileNotFoundError: A folder or the list does not exist.
        ValueError: There are no photographs, photographs lack a mask, have several of one name, or none has a hole.
        BadImageError: In test mode, a mask cannot be read, or does not say what is the hole.
    """

    def __init__(self, mask_root: str, **kwargs) -> None:
        self.mask_root = mask_root
        self.without_hole: list[str] = []
        super().__init__(**kwargs)

    def load_data_list(self) -> list[dict]:
        if not Path(self.mask_root).is_dir():
            raise FileNotFoundError(f'The folder of masks {self.mask_root!r} does not exist.')
        images = super().load_data_list()
        photos = self.data_prefix[self.search_key]
        root = Path(self.mask_root)
        masks = [path.relative_to(root) for path in find_files(root).images]
        if root.resolve() == Path(photos).resolve():
            masks = masks_among(masks)
        infos = {self._name_of(info): info for info in images}
        found, left = match_masks(infos, masks)
        cases = []
        for case in found:
            if case.mask is None:
                count = sum(other.mask is None for other in found)
                raise ValueError(
                    f'{count} of {len(images)} photographs in {photos!r} lack a mask in {self.mask_root!r}, such as '
                    f'{case.photo.as_posix()}, which has {case.problem}.'
                )
            own = dict(case=case.name.as_posix(), mask_path=str(root / case.mask))
            if case.name != case.photo:
                own['key'] = case.name.with_suffix('').as_posix()
            cases.append(infos[case.photo] | own)
        if left:
            message = f'{len(left)} masks in {self.mask_root!r} have no photograph, such as {left[0]}; left out.'
            print_log(message, 'current', WARNING)
        return self._leave_out_empty(cases) if self.test_mode else cases

    def _leave_out_empty(self, cases: list[dict]) -> list[dict]:
        steps = self.pipeline.transforms
        reader = next((step for step in steps if type(step) is LoadHole), None)
        if reader is None:
            return cases
        kept = []
        for info in cases:
            if read_hole(info['mask_path'], reader.hole_value, reader.invert).any():
                kept.append(info)
                continue
            # one of another size is no mask without a hole, but a wrong one
            Compose(steps[: steps.index(reader) + 1])(dict(info))
            self.without_hole.append(info['case'])
        if not kept:
            raise ValueError(
                f'None of the {len(cases)} masks in {self.mask_root!r} has a hole, with hole_value={reader.hole_value} '
                f'and invert={reader.invert} of LoadHole (--hole-value, --invert).'
            )
        if self.without_hole:
            message = f'{len(self.without_hole)} of {len(cases)} cases have masks without a hole, count for no metric'
            print_log(f'{message} and are left out: {", ".join(self.without_hole)}.', 'current', WARNING)
        return kept

"""Test sets for comparisons: those of a config, or a folder of photographs, under one kind of masks or another."""

from copy import deepcopy
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..datasets.mask_sets import scale_lengths
from ..datasets.masks import Value
from ..datasets.transforms import SeededByImage

AS_CONFIGURED = 'configured'
# the configs as they travel in the package, or those of the checkout that it is imported from
PACKAGE = Path(__file__).resolve().parents[1]
CONFIG_FOLDERS = (PACKAGE / '.mim' / 'configs', PACKAGE.parent / 'configs')
# what a folder of photographs without masks is tested under: the masks of this config, at any size
FOLDER_CONFIG = '_base_/masks/free_form_256.py'


def kinds_of(config: Config) -> list[str]:
    """The kinds of masks that a test set of a config can be tested under; without ``test_masks``, its own alone."""
    return list(config.get('test_masks') or {}) or [AS_CONFIGURED]


def loader_from_config(
    config: Config, kind: str = AS_CONFIGURED, batch_size: int | None = None, num_workers: int | None = None
) -> DataLoader:
    """Build the test data loader of a config under one kind of masks.

    Args:
        config: With ``test_dataloader`` and, for kinds of masks, ``test_masks``: transforms by the kind's name.
        kind: ``'configured'`` for the masks of the test pipeline, or a name in ``test_masks``. Each image gets the
            same mask in every run.
        batch_size: Replaces the config's; so does
        num_workers: the number of processes that load.

    Raises:
        ValueError: The config has no such kind, or no place for it in its test pipeline.
    """
    options = deepcopy(config.test_dataloader)
    if kind != AS_CONFIGURED:
        known = config.get('test_masks') or {}
        if kind not in known:
            raise ValueError(f'The test set has the kinds of masks {", ".join([*known, AS_CONFIGURED])}; got {kind!r}.')
        pipeline = options.dataset.pipeline
        places = [index for index, step in enumerate(pipeline) if step.type in ('SeededByImage', SeededByImage)]
        if len(places) != 1:
            raise ValueError(
                f'To test under {kind} masks, the test pipeline needs one SeededByImage step to put them in; it has '
                f'{len(places)}. Take --masks {AS_CONFIGURED}, or add one.'
            )
        pipeline[places[0]] = ConfigDict(pipeline[places[0]], transforms=deepcopy(known[kind]))
    if batch_size is not None:
        options.batch_size = batch_size
    if num_workers is not None:
        options.num_workers = num_workers
        options.persistent_workers = options.get('persistent_workers', False) and num_workers > 0
    return Runner.build_dataloader(options)


def config_of_folder(
    photos: Path,
    masks: Path | None = None,
    image_size: int | None = None,
    hole_value: Value | None = None,
    invert: bool = False,
) -> Config:
    """Write the config of a test set that is a folder of photographs.

    Args:
        photos: Folder with photographs, also in folders below it.
        masks: Folder with one or more masks for each, which may be the same one, named as
            :class:`~cainet_mm.datasets.PhotoMaskDataset` says; bright pixels are the hole. ``None`` draws rectangular
            and irregular masks, the same in every run.
        image_size: Photographs are resized to this shorter side, smaller ones enlarged to it, and cropped to the square
            in their middle, their masks likewise. Needed where masks are drawn (256 by default); without it,
            photographs stay as they are.
        hole_value: The hole's value in masks of several, and
        invert: whether they mark what is known, both as :func:`~cainet_mm.datasets.read_hole` has them.

    Raises:
        FileNotFoundError: A folder does not exist.
        ValueError: Masks are missing, or there are no photographs.
    """
    for folder, name in ((photos, 'photographs'), (masks, 'masks')):
        if folder is not None and not folder.is_dir():
            raise FileNotFoundError(f'The folder of {name} {str(folder)!r} does not exist.')
    drawn = masks is None
    side = 256 if drawn and image_size is None else image_size
    config = Config(dict(default_scope='mmagic', test_masks={}))
    if side is not None and drawn:
        # the kinds of masks of the paper-size test sets, all lengths in proportion
        masks_config = Config.fromfile(next(one for one in CONFIG_FOLDERS if one.is_dir()) / FOLDER_CONFIG)
        kinds = masks_config.test_masks.items()
        config.test_masks = {kind: scale_lengths(transforms, masks_config, side) for kind, transforms in kinds}
    dataset = dict(type='PhotoDataset', data_root=str(photos), ann_file='', recursive=True, test_mode=True)
    pipeline: list[dict[str, Any]] = [dict(type='LoadPhoto')]
    if not drawn:
        dataset.update(type='PhotoMaskDataset', mask_root=str(masks))
        pipeline.append(dict(type='LoadHole', hole_value=hole_value, invert=invert))
    if side is not None:
        shrink: dict[str, Any] = dict(type='Resize', scale=(-1, side), keep_ratio=True)
        keys = ['gt'] if drawn else ['gt', 'mask']
        ways = zip(keys, ('area', 'nearest'), strict=False)
        pipeline += [dict(shrink, keys=[key], interpolation=way) for key, way in ways]
        pipeline.append(dict(type='Crop', keys=keys, crop_size=(side, side), random_crop=False))
    if drawn:
        pipeline.append(dict(type='SeededByImage', transforms=next(iter(config.test_masks.values()))))
    config.test_dataloader = ConfigDict(
        batch_size=1,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(dataset, pipeline=[*pipeline, dict(type='GetMaskedImage'), dict(type='PackInputs')]),
    )
    return config

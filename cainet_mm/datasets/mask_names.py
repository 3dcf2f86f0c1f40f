"""Names of masks: which masks belong to which photograph."""

import re
from collections.abc import Iterable
from pathlib import Path

from ..utils.photo_paths import short_name

# what a mask's name has behind its photograph's: image1_mask001, photo_mask, photo_mask_2, photo-mask
MASK_STEM = re.compile(r'(?P<photo>.+?)[_-]mask[_-]?\d*', re.IGNORECASE)


def stem_of(name: Path) -> Path:
    """A name without its ending, in its folder."""
    return name.with_name(name.stem)


def photo_stem_of(name: Path) -> Path | None:
    """The name, without an ending, of the photograph that a mask is named after; ``None`` where it is after none."""
    match = MASK_STEM.fullmatch(name.stem)
    return None if match is None else name.with_name(match['photo'])


def masks_among(names: Iterable[Path]) -> set[Path]:
    """Those images of a folder, by their names in it, that are named as masks of other images in it."""
    names = list(names)
    stems = {stem_of(name) for name in names}
    return {name for name in names if photo_stem_of(name) in stems}


def match_masks(photos: Iterable[Path], masks: Iterable[Path]) -> tuple[dict[Path, dict[Path, list[Path]]], list[Path]]:
    """Say which masks belong to which photographs: of the same name, or named after it, whatever their endings.

    Both are names in their folders. Returns, by the photograph's name without its ending, its masks: one or more files,
    by their name without its ending; and the masks that belong to no photograph.
    """
    stems = {stem_of(name) for name in photos}
    found: dict[Path, dict[Path, list[Path]]] = {}
    unused = []
    for mask in sorted(masks):
        owner = next((name for name in (stem_of(mask), photo_stem_of(mask)) if name in stems), None)
        if owner is None:
            unused.append(mask)
        else:
            found.setdefault(owner, {}).setdefault(stem_of(mask), []).append(mask)
    return found, unused


def own_of(files: list[Path], photo: Path) -> Path | None:
    """Of a photograph's masks of one name, the only one or that with the photograph's own ending; else ``None``."""
    own = [path for path in files if path.suffix == photo.suffix] if len(files) > 1 else files
    return own[0] if len(own) == 1 else None


def names_of_masks(photo: Path) -> str:
    """Say which names a photograph's masks may have."""
    stem = stem_of(photo).as_posix()
    return f'{stem}, {stem}_mask, {stem}_mask_2 or {stem}_mask001, with the ending of any image'


def name_of_case(photo: Path, stem: Path, total: int) -> Path:
    """Name a photograph with one of ``total`` masks: as itself; of several, as the mask, with its own ending."""
    return photo if total == 1 else photo.with_name(short_name(stem.name, photo.suffix))

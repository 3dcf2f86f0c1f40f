"""Names of masks: which masks belong to which photograph."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Case:
    """A photograph with one of its masks, by their names in their folders."""

    photo: Path
    mask: Path | None  # None where there is none, or several of one name
    name: Path  # the photograph's or, where it has several masks, that of the mask with the photograph's ending
    several: tuple[Path, ...] = ()  # masks of one name

    @property
    def problem(self) -> str | None:
        """What the photograph has in place of a mask."""
        if self.mask is not None:
            return None
        if self.several:
            return f'several masks of one name, {", ".join(map(str, self.several))}; it needs one of each name'
        stem = stem_of(self.photo).as_posix()
        return f"no mask; looked for were {stem}, {stem}_mask, {stem}_mask_2 or {stem}_mask001, with any image's ending"


def match_masks(photos: Iterable[Path], masks: Iterable[Path]) -> tuple[list[Case], list[Path]]:
    """Say which masks belong to which photographs: of the same name, or named after it, whatever their endings.

    A mask of the same name as a photograph belongs to no other. Returns a case for each mask of each photograph, in
    their order, and one for a photograph without; and the masks that belong to no photograph.
    """
    photos = list(photos)
    stems = {stem_of(name) for name in photos}
    found: dict[Path, dict[Path, list[Path]]] = {}
    unused, cases = [], []
    for mask in sorted(masks):
        owner = next((name for name in (stem_of(mask), photo_stem_of(mask)) if name in stems), None)
        if owner is None:
            unused.append(mask)
        else:
            found.setdefault(owner, {}).setdefault(stem_of(mask), []).append(mask)
    for photo in photos:
        own_masks = found.get(stem_of(photo), {})
        if not own_masks:
            cases.append(Case(photo, None, photo))
        for stem, files in own_masks.items():
            name = photo if len(own_masks) == 1 else photo.with_name(short_name(stem.name, photo.suffix))
            # of several, that with the photograph's own ending
            own = [path for path in files if path.suffix == photo.suffix] if len(files) > 1 else files
            cases.append(Case(photo, own[0], name) if len(own) == 1 else Case(photo, None, name, tuple(files)))
    return cases, unused

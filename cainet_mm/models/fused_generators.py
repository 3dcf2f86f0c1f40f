"""Dual attention fusion in other people's generators."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmengine.model import BaseModule, ModuleList
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..utils.checkpoint_io import find_submodule
from .view_encoders import FORMS, check_stem


@MODELS.register_module()
class FusedGenerator(BaseModule):
    """Puts a fusion on features inside any generator, whose own layers and weights stay as they are.

    The features are named, as ``named_modules`` does; their widths are found by running the generator once on an
    empty image when it is built. The wrapped generator is called as before, so it stands in its inpaintor's config
    where the generator stood. Weights that no output depends on any more, such as those of a last layer whose image
    the fused one replaces, require no gradient: distributed training would wait for theirs.

    Args:
        generator: Config of the generator.
        features: Names of the submodules whose outputs are fused into images, finest first; the finest one has the
            size of the image. A submodule that returns several things, as partial convolutions do, is taken by the
            first of them.
        fusion: Config of the fusion; ``in_channels`` is filled in. ``None`` leaves the generator as it is, bit for bit.
        form: How the generator takes image and mask: ``'view'`` in 4 channels, ``'view_with_ones'`` in 5 with ones
            between them, ``'pair'`` as two arguments, the second one 1 where the image is known.
        output: ``'all'`` returns a list of images, finest first, as :class:`CAINetInpaintor` takes it; ``'finest'``
            one, as MMagic's inpaintors do.
        place: With ``'finest'``, where a generator that returns several things has its image: the fused one takes
            that place.
        probe_size: Side of the empty image.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: A name that is no submodule's; a submodule that is not used, returns no feature map, or one that
            a later layer writes into; features that are not finest first; a finest one smaller than the image;
            several of them with ``'finest'``; a generator that takes another number of channels or cannot run at
            ``probe_size``; an unknown ``form`` or ``output``.
    """

    def __init__(
        self,
        generator: dict,
        features: Sequence[str],
        fusion: dict | None = dict(type='DualAttentionFusion'),
        form: str = 'view',
        output: str = 'all',
        place: int = -1,
        probe_size: int = 64,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if form not in FORMS:
            raise ValueError(f'FusedGenerator calls generators in the forms {", ".join(FORMS)}, got {form!r}.')
        if output not in ('all', 'finest'):
            raise ValueError(f"FusedGenerator returns 'all' images or the 'finest', got {output!r}.")
        if not features or len(set(features)) < len(features) or (output == 'finest' and len(features) > 1):
            raise ValueError(
                "FusedGenerator takes the names of different features, finest first, and for the 'finest' output one "
                f'alone, got {list(features)}.'
            )
        self.features = tuple(features)
        self.form = form
        self.output = output
        self.place = place
        self.generator = MMAGIC_MODELS.build(generator)
        for feature in features:
            find_submodule(self.generator, feature)
        check_stem(self.generator, form)
        widths = self._probe(probe_size)
        # MMEngine's list, so that init_weights gets as far as the fusions
        self.fusions = ModuleList()
        if fusion is not None:
            self.fusions.extend(MMAGIC_MODELS.build(dict(fusion, in_channels=width)) for width in widths)
            self._freeze_what_is_not_reached(probe_size)

    @property
    def num_scales(self) -> int:
        """Number of images that :meth:`forward` returns with ``output='all'``."""
        return max(len(self.fusions), 1)

    @torch.no_grad()
    def _probe(self, side: int) -> list[int]:
        """Find the features' widths on a copy of the generator, which leaves no trace in the generator itself."""
        name = type(self.generator).__name__
        twin = deepcopy(self).eval()
        try:
            with torch.random.fork_rng(devices=[]):
                _, seen, changes = twin._run(twin._in_form(twin._empty_view(side)))
        except (RuntimeError, ValueError, AssertionError) as error:
            raise ValueError(
                f'{name} cannot be run on an empty image of {side}x{side} pixels, to look at its features ({error}); '
                'set probe_size to a size that it can take.'
            ) from error
        for feature, value, changed in zip(self.features, seen, changes, strict=True):
            if value is None:
                raise ValueError(f'{name} does not use its submodule {feature!r} when it is called; name another one.')
            if not isinstance(value, Tensor) or value.ndim != 4:
                shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise ValueError(f'{feature!r} of {name} returns {shape}, and not a feature map of (N, C, h, w).')
            if changed:
                raise ValueError(
                    f'What {feature!r} of {name} returns is written into by a later layer; name the submodule that '
                    'holds both, or set inplace=False in that layer.'
                )
        sizes = [tuple(value.shape[-2:]) for value in seen]
        listed = ', '.join(f'{feature}: {h}x{w}' for feature, (h, w) in zip(self.features, sizes, strict=True))
        if sizes[0] != (side, side):
            raise ValueError(
                f'The finest feature has to have the size of the image, so that the fused image has it; of an image of '
                f'{side}x{side} pixels {name} makes {listed}. Begin with a later layer.'
            )
        if any(finer <= coarser for (finer, _), (coarser, _) in zip(sizes[:-1], sizes[1:], strict=True)):
            raise ValueError(f'The features are named finest first, each scale once; {name} makes {listed}.')
        return [value.shape[1] for value in seen]

    def _freeze_what_is_not_reached(self, side: int) -> None:
        """Let weights that no output depends on require no gradient, as a backward pass through a copy tells."""
        twin = deepcopy(self).eval()
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            outputs = twin(*twin._in_form(twin._empty_view(side)))
            parts = outputs if isinstance(outputs, list | tuple) else [outputs]
            sum(part.sum() for part in parts if part.requires_grad).backward()
        for weight, its_twin in zip(self.parameters(), twin.parameters(), strict=True):
            if its_twin.grad is None:
                weight.requires_grad_(False)

    def _empty_view(self, side: int) -> Tensor:
        weight = next(self.generator.parameters())
        return torch.zeros(1, FORMS['view'], side, side, device=weight.device, dtype=weight.dtype)

    def _in_form(self, view: Tensor) -> tuple[Tensor, ...]:
        """Bring a view, masked image and mask in 4 channels, to the form that the generator takes."""
        image, mask = view[:, :3], view[:, 3:]
        if self.form == 'pair':
            return image, (1 - mask).expand_as(image)
        return (torch.cat((image, torch.ones_like(mask), mask), dim=1) if self.form == 'view_with_ones' else view,)

    def _run(self, inputs: tuple[Tensor, ...]) -> tuple[Any, list[Any], list[bool]]:
        """Call the generator: what it returns, the features, and whether each was written into after it was made.

        The hooks live for this call alone: nothing is held between calls, and a copy of the module, such as a moving
        average's, looks at its own submodules.
        """
        seen: list[Any] = [None] * len(self.features)
        versions = [0] * len(self.features)

        def look(index: int):
            def hook(module: nn.Module, arguments: tuple, result: Any) -> None:
                if isinstance(result, dict):
                    result = result.get('out')
                seen[index] = result[0] if isinstance(result, list | tuple) else result
                versions[index] = getattr(seen[index], '_version', 0)

            return hook

        handles = [
            self.generator.get_submodule(name).register_forward_hook(look(index))
            for index, name in enumerate(self.features)
        ]
        try:
            own = self.generator(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        changes = [getattr(value, '_version', 0) != version for value, version in zip(seen, versions, strict=True)]
        return own, seen, changes

    def forward(self, *inputs: Tensor) -> Tensor | list[Tensor] | tuple:
        """Inpaint masked images in [-1, 1] with their masks, in the generator's form or in 4 channels, (N, 4, H, W).

        Returns with ``output='all'`` the images, finest first, (N, 3, h, w); with ``'finest'`` what the generator
        returns, the fused image in place of its own. Fused images are not clamped.
        """
        if len(inputs) == 1 and inputs[0].shape[1] == FORMS['view']:
            inputs = self._in_form(inputs[0])
        own, seen, _ = self._run(inputs)
        known = inputs[1] if self.form == 'pair' else 1 - inputs[0][:, -1:]
        # AOT-GAN's inpaintor fills the hole with ones; the fusions want it empty
        masked = inputs[0][:, :3] * known
        images = [fusion(feature, masked) for fusion, feature in zip(self.fusions, seen, strict=False)]
        if self.output == 'all':
            return images or [own[self.place] if isinstance(own, list | tuple) else own]
        if not images:
            return own
        if isinstance(own, list | tuple):
            outputs = list(own)
            outputs[self.place] = images[0]
            return tuple(outputs)
        return images[0]

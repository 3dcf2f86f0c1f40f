"""Stage 1: contrastive pre-training of the encoder on differently masked views."""

import torch
import torch.nn.functional as F
from mmagic.models.data_preprocessors import DataPreprocessor
from mmagic.structures import DataSample
from mmengine.dist import all_gather, get_world_size
from mmengine.registry import MODELS
from mmpretrain.models.selfsup import MoCo
from mmpretrain.models.utils import batch_shuffle_ddp, batch_unshuffle_ddp
from torch import Tensor, nn

from .encoder_decoders import centre


@MODELS.register_module()
class TwoMaskPreprocessor(DataPreprocessor):
    """Builds the two 4-channel views of each image from the image and its two masks.

    The image travels once, as MMagic's pipelines load it, and is masked on the device: each view is the normalised
    image with its hole emptied or filled by ``hole_fill``, then the mask, exactly as the generator of stage 2 sees
    its input.

    Args:
        mask_keys: Fields of the data samples that hold the masks of the query and of the key.
        hole_fill: Config of what is put into the hole, that of the generator of stage 2. By default 0 is.
        centred: Whether the mean colour of each view is subtracted, as ``centred`` of the generator has it.
        kwargs: Those of MMagic's ``DataPreprocessor``.

    Raises:
        ValueError: The data samples lack a mask.
    """

    def __init__(
        self,
        mask_keys: tuple[str, str] = ('mask_q', 'mask_k'),
        hole_fill: dict | None = None,
        centred: bool = False,
        **kwargs,
    ) -> None:
        super().__init__(data_keys=None, **kwargs)
        self.mask_keys = tuple(mask_keys)
        self.centred = centred
        self.hole_fill = None if hole_fill is None else MODELS.build(hole_fill)

    def forward(self, data: dict, training: bool = False) -> dict:
        """Turn images (N, 3, H, W) and masks (N, 1, H, W) into ``inputs``: [query view, key view], (N, 4, H, W)."""
        data = super().forward(data, training)
        images, samples = data['inputs'], data['data_samples']
        absent = [key for key in self.mask_keys if key not in samples]
        if absent:
            raise ValueError(
                f'TwoMaskPreprocessor takes the masks {", ".join(self.mask_keys)} from the data samples, which lack '
                f'{", ".join(absent)}. Have the pipeline pack them, or name others as mask_keys.'
            )
        masks = [samples.get(key).to(images.dtype) for key in self.mask_keys]
        return dict(inputs=self.make_inputs(images, masks), data_samples=samples)

    def make_inputs(self, images: Tensor, masks: list[Tensor]) -> list[Tensor]:
        """The view of the images, (N, 3, H, W), under each mask, (N, 1, H, W)."""
        return [self.view(images, mask) for mask in masks]

    def view(self, images: Tensor, mask: Tensor) -> Tensor:
        """Mask images: (N, 3, H, W) in [-1, 1] and masks, 1 in the hole, (N, 1, H, W), to a view, (N, 4, H, W)."""
        return torch.cat((self.hide(images, mask)[1], mask), dim=1)

    def hide(self, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Images with their holes emptied or filled, and what the encoder sees of these, centred if so set."""
        masked = images * (1 - mask) if self.hole_fill is None else self.hole_fill(images, mask)
        return masked, centre(masked) if self.centred else masked


@MODELS.register_module()
class SiameseMoCo(MoCo):
    r"""Siamese inference network: a query encoder and a momentum key encoder over two maskings, Eq. (1) and (2).

    .. math::
        \mathcal{L} = -\log \frac{\exp(z_q \cdot z_k^+ / \tau)}{\sum_{i=0}^{K} \exp(z_q \cdot z_{k_i} / \tau)},
        \qquad \theta_k \leftarrow m \theta_k + (1 - m) \theta_q

    It is MMPretrain's ``MoCo`` (config keys, checkpoints, queue) with a step that neither copies the queue nor waits
    for the device, and that also reports how often the positive ranks first. MMEngine's momentum is 1 - m: the
    paper's m = 0.9 is ``momentum=0.1``.

    Args:
        backbone: Config of the encoder.
        neck: Config of the projection to z.
        head: Config of MMPretrain's ``ContrastiveHead``, with the temperature.
        data_preprocessor: What makes the two views, by default a ``TwoMaskPreprocessor``.
        kwargs: ``queue_len``, ``feat_dim``, ``momentum``, ``init_cfg``, as MMPretrain's.

    Raises:
        ValueError: ``momentum`` is outside (0, 1) or, at the first step, the batch does not divide the queue or the
            neck's output has another width than ``feat_dim``.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        head: dict,
        momentum: float = 0.1,
        data_preprocessor: dict | nn.Module | None = None,
        **kwargs,
    ) -> None:
        if not 0 < momentum < 1:
            raise ValueError(
                f'SiameseMoCo takes the momentum of the key encoder as 1 - m, above 0 and below 1, got {momentum}.'
            )
        if not isinstance(data_preprocessor, nn.Module):
            # MMPretrain's default has a name that other scopes do not know
            data_preprocessor = {'type': 'TwoMaskPreprocessor', **(data_preprocessor or {})}
        super().__init__(
            backbone=backbone,
            neck=neck,
            head=head,
            momentum=momentum,
            data_preprocessor=data_preprocessor,
            **kwargs,
        )
        self._key_encoder_started = False

    def loss(self, inputs: list[Tensor], data_samples: list[DataSample] | DataSample, **kwargs) -> dict[str, Tensor]:
        """Compute InfoNCE of a batch; its keys enter the queue once the gradient has been computed.

        Args:
            inputs: Query view and key view, (N, C, H, W) each.
            data_samples: Not looked at.

        Returns:
            ``loss``, and ``positive_first``: the share of queries whose positive beats every key in the queue.
        """
        query_view, key_view = inputs
        query = F.normalize(self.neck(self.backbone(query_view))[0], dim=1)
        if query.shape[1] != len(self.queue):
            raise ValueError(
                f'The neck of SiameseMoCo returns {query.shape[1]} numbers for an image, but feat_dim is '
                f'{len(self.queue)}; give both the same.'
            )
        key = self._encode_keys(key_view)
        all_keys = torch.cat(all_gather(key), dim=0)
        self._check_batch(len(all_keys))

        positive = (query * key).sum(dim=1, keepdim=True)
        negative = query @ self.queue
        loss = self.head.loss(positive, negative)
        positive_first = (positive > negative.amax(dim=1, keepdim=True)).float().mean()
        if query.requires_grad:
            # The gradient of the negatives needs the queue as it was, so the keys enter after it. The alternative,
            # to copy the queue on every step, costs more than the product with it.
            query.register_hook(lambda gradient: self._enqueue(all_keys))
        else:
            self._enqueue(all_keys)
        return dict(loss=loss, positive_first=positive_first)

    @torch.no_grad()
    def _encode_keys(self, view: Tensor) -> Tensor:
        """Update E_k by Eq. (2) and compute the normalised keys of the view."""
        self._update_key_encoder()
        # between processes the samples change places, so that a query and its key share no batch-norm statistics
        shuffled = get_world_size() > 1
        if shuffled:
            view, order = batch_shuffle_ddp(view)
        key = F.normalize(self.encoder_k(view)[0], dim=1)
        return batch_unshuffle_ddp(key, order) if shuffled else key

    @torch.no_grad()
    def _update_key_encoder(self) -> None:
        """Eq. (2); at the very first step of a training E_k becomes a copy of E_q."""
        source = nn.ModuleList((self.backbone, self.neck))
        target = self.encoder_k.module
        if not self._key_encoder_started:
            # the only look at the device-side counter; later steps do not wait for it
            self._key_encoder_started = True
            if self.encoder_k.steps == 0:
                target.load_state_dict(source.state_dict())
        torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), self.encoder_k.momentum)
        self.encoder_k.steps += 1

    def _check_batch(self, batch_size: int) -> None:
        if self.queue_len % batch_size:
            raise ValueError(
                f'The queue of {self.queue_len} keys is not divided by the batch of {batch_size} (all processes '
                'together), so the oldest keys would leave it unevenly. Choose a queue_len that is a multiple of the '
                'global batch size, and drop the last, smaller batch of an epoch (drop_last=True).'
            )

    @torch.no_grad()
    def _enqueue(self, keys: Tensor) -> None:
        """Replace the oldest keys by (N, feat_dim) new ones; the pointer stays on the device."""
        places = (self.queue_ptr + torch.arange(len(keys), device=keys.device)) % self.queue_len
        self.queue.index_copy_(1, places, keys.t().to(self.queue.dtype))
        self.queue_ptr.add_(len(keys)).remainder_(self.queue_len)

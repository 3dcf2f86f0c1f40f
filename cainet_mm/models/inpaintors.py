"""Stage 2: the inpaintor."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial

import torch
from mmagic.models.base_models import OneStageInpaintor
from mmagic.models.utils import set_requires_grad
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmagic.structures import DataSample
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.registry import MODELS
from torch import Tensor, nn

from .losses.multi_scale import check_scales, mean_of
from .pyramids import Level, build_pyramid


@MODELS.register_module()
class CAINetInpaintor(OneStageInpaintor):
    r"""Multi-scale inpaintor trained with losses over the output pyramid and a WGAN-GP critic, Eq. (13)-(16).

    .. math::
        \mathcal{L}_{total} = \frac{1}{|P|} \sum_{k \in P} \mathcal{L}_{struct}^k
        + \frac{1}{|Q|} \sum_{k \in Q} \mathcal{L}_{text}^k

    The sums over the scales live in the losses (:class:`MultiScaleLoss`), the weights in the losses that they wrap;
    the adversarial term of :math:`\mathcal{L}_{text}` is summed over ``critic_scales`` here, since it needs the
    critic. A step is one forward pass of the generator and one update each of critic and generator.

    Args:
        data_preprocessor: Config of MMagic's ``DataPreprocessor``; images come out as RGB in [-1, 1].
        encdec: Config of the generator: (N, 4, H, W) to a list of images, finest first.
        losses: Named configs of losses over the pyramid, called with the outputs and a list of :class:`Level`.
            ``None`` drops a loss that a config inherits.
        disc: Config of the critic. ``None`` trains without one.
        loss_gan: Config of the adversarial loss; its weight is that of the generator's term.
        loss_gp: Config of the gradient penalty.
        critic_scales: The scales that the critic looks at.
        disc_input_with_mask: Whether the critic sees the mask behind the image, (N, 4, H, W), as a
            :class:`TwoColumnCritic` wants; the gradient penalty is on the image alone either way.
        downscale_mode: How the target is brought to a scale, ``'area'`` or ``'bilinear'``.
        train_cfg: ``disc_step``: updates of the critic for one of the generator (default 1). ``penalty_interval``: the
            gradient penalty is computed in every so many updates of the critic, with so many times its weight
            (default 1, as in the paper; StyleGAN2's "lazy regularisation"). Its log is 0 in the others, so that the
            mean over an interval of the log is that of the penalty.
        test_cfg: ``compose``: whether the known pixels are put back into the reported image ``pred_img`` (default
            true). The raw output is reported as ``fake_res``, the composed one as ``fake_img``, either way.
        init_cfg: MMEngine's initialisation.

    Raises:
        ValueError: A loss or the critic asks for a scale that the generator does not return, a critic comes without
            its losses or beside a loss called ``adv``, ``train_cfg`` has unknown keys or a number below 1, or
            ``test_cfg`` has unknown keys.
    """

    disc_step_count: int

    def __init__(
        self,
        data_preprocessor: dict,
        encdec: dict,
        losses: dict[str, dict | None],
        disc: dict | None = None,
        loss_gan: dict | None = None,
        loss_gp: dict | None = None,
        critic_scales: Sequence[int] = (1, 2, 3),
        disc_input_with_mask: bool = False,
        downscale_mode: str = 'area',
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        if disc is not None and (loss_gan is None or loss_gp is None):
            raise ValueError('CAINetInpaintor trains a critic (disc) with loss_gan and loss_gp; give both, or no disc.')
        defaults = dict(disc_step=1, penalty_interval=1)
        train_cfg = dict(defaults, **(train_cfg or {}))
        if train_cfg.keys() - defaults.keys() or min(train_cfg.values()) < 1:
            raise ValueError(
                'train_cfg of CAINetInpaintor takes disc_step and penalty_interval, numbers from 1 up, got '
                f'{train_cfg}. To train without a critic, leave out disc, loss_gan and loss_gp.'
            )
        if set(test_cfg or {}) - {'compose'}:
            raise ValueError(f'test_cfg of CAINetInpaintor takes compose alone, true or false, got {test_cfg}.')
        super().__init__(
            data_preprocessor=data_preprocessor,
            encdec=encdec,
            disc=disc,
            loss_gan=loss_gan,
            loss_gp=loss_gp,
            train_cfg=train_cfg,
            test_cfg=dict(test_cfg or {}),
            init_cfg=init_cfg,
        )
        check_scales(critic_scales, 'critic_scales')
        self.critic_scales = tuple(critic_scales)
        self.disc_input_with_mask = disc_input_with_mask
        self.downscale_mode = downscale_mode
        if self.with_gan and losses.get('adv') is not None:
            raise ValueError("A CAINetInpaintor with a critic logs its term as 'adv'; give the loss another name.")
        given = {name: loss for name, loss in losses.items() if loss is not None}
        self.losses = nn.ModuleDict({name: MMAGIC_MODELS.build(loss) for name, loss in given.items()})
        wanted = {name: getattr(loss, 'scales', ()) for name, loss in self.losses.items()}
        if self.with_gan:
            wanted['critic'] = self.critic_scales
        for name, scales in wanted.items():
            if scales and max(scales) > self.generator.num_scales:
                raise ValueError(
                    f'{name} asks for the scales {scales}, but the generator returns {self.generator.num_scales}. '
                    "Raise the decoder's num_scales or drop the coarsest scales."
                )

    def train_step(self, data: dict, optim_wrapper: OptimWrapper | OptimWrapperDict) -> dict[str, Tensor]:
        """Train for one step: forward the generator, update the critic, update the generator.

        Wrappers are ``generator`` and ``disc``; without a critic, ``generator`` or a single one. Returns the losses for
        the log, still on the device. ``ValueError`` for a critic under a single one.
        """
        if self.with_gan and not isinstance(optim_wrapper, OptimWrapperDict):
            raise ValueError(
                'CAINetInpaintor with a critic takes two optimizers, got one; set optim_wrapper to '
                "dict(constructor='MultiOptimWrapperConstructor', generator=dict(...), disc=dict(...))."
            )
        generator_wrapper = optim_wrapper['generator'] if isinstance(optim_wrapper, OptimWrapperDict) else optim_wrapper
        data = self.data_preprocessor(data, True)
        masked, target = data['inputs'], data['data_samples'].gt_img
        mask = data['data_samples'].mask.to(masked.dtype)

        disc_step, penalty_interval = self.train_cfg['disc_step'], self.train_cfg['penalty_interval']
        self.disc_step_count = (self.disc_step_count + 1) % math.lcm(disc_step, penalty_interval)
        updates_generator = self.disc_step_count % disc_step == 0 or not self.with_gan
        penalty_weight = penalty_interval if self.disc_step_count % penalty_interval == 0 else 0
        with generator_wrapper.optim_context(self.generator), torch.set_grad_enabled(updates_generator):
            outputs = self.generator(torch.cat((masked, mask), dim=1))
        pyramid = build_pyramid(target, mask, [output.shape[-2:] for output in outputs], self.downscale_mode)

        log_vars = {}
        if self.with_gan:
            log_vars.update(self._update_critic(outputs, pyramid, optim_wrapper['disc'], penalty_weight))
        if updates_generator:
            log_vars.update(self._update_generator(outputs, pyramid, generator_wrapper))
        return log_vars

    def _update_critic(
        self, outputs: Sequence[Tensor], pyramid: Sequence[Level], wrapper: OptimWrapper, penalty_weight: float
    ) -> dict[str, Tensor]:
        """Bring the critic of Eq. (13) one step up: real images score high, the generator's low."""
        set_requires_grad(self.disc, True)
        with wrapper.optim_context(self.disc):
            losses = self.critic_losses(outputs, pyramid, penalty_weight)
        wrapper.update_params(sum(losses.values()))
        return {name: value.detach() for name, value in losses.items()}

    def critic_losses(
        self, outputs: Sequence[Tensor], pyramid: Sequence[Level], penalty_weight: float = 1
    ) -> dict[str, Tensor]:
        """The critic's terms of Eq. (13), as losses to be minimised, averaged over its scales.

        Args:
            outputs: The generator's images, finest first.
            pyramid: Target and mask at the same scales.
            penalty_weight: What the gradient penalty is multiplied by; at 0 it is not computed.

        Returns:
            ``critic_real`` (-E D(Y)), ``critic_fake`` (E D(Y^)) and ``critic_penalty``.
        """
        terms: dict[str, list[Tensor]] = dict(critic_real=[], critic_fake=[], critic_penalty=[])
        for scale in self.critic_scales:
            real, mask = pyramid[scale - 1]
            fake = outputs[scale - 1].detach().to(real.dtype)
            real_scores, fake_scores = self.score(torch.cat((real, fake)), torch.cat((mask, mask))).chunk(2)
            terms['critic_real'].append(self.loss_gan(real_scores, True, is_disc=True))
            terms['critic_fake'].append(self.loss_gan(fake_scores, False, is_disc=True))
            terms['critic_penalty'].append(self.penalty(partial(self.score, mask=mask), real, fake, penalty_weight))
        return {name: mean_of(values) for name, values in terms.items()}

    def penalty(self, score: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, weight: float) -> Tensor:
        """The weighted gradient penalty, (); at weight 0 it is not computed."""
        return weight * self.loss_gp(score, real, fake) if weight else real.new_zeros(())

    def score(self, images: Tensor, mask: Tensor, **options) -> Tensor:
        """The critic's scores of images, (N, 3, h, w); with ``disc_input_with_mask`` it sees the mask, (N, 1, h, w)."""
        seen = torch.cat((images, mask.to(images.dtype)), dim=1) if self.disc_input_with_mask else images
        return self.disc(seen, **options)

    def _update_generator(
        self, outputs: Sequence[Tensor], pyramid: Sequence[Level], wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """Bring the total of Eq. (16) one step down; the critic gets no gradient."""
        if self.with_gan:
            set_requires_grad(self.disc, False)
        # A critic between processes would take this forward pass for one whose gradients are to be averaged, and do it
        # in its next backward pass, be that one that only accumulates.
        no_sync = getattr(self.disc, 'no_sync', nullcontext) if self.with_gan else nullcontext
        with wrapper.optim_context(self.generator), no_sync():
            loss, log_vars = self.parse_losses(self.generator_losses(outputs, pyramid))
        wrapper.update_params(loss)
        return {name: value.detach() for name, value in log_vars.items()}

    def generator_losses(self, outputs: Sequence[Tensor], pyramid: Sequence[Level]) -> dict[str, Tensor]:
        """All weighted terms of Eq. (16).

        Args:
            outputs: The generator's images, finest first.
            pyramid: Target and mask at the same scales.

        Returns:
            ``loss_<name>`` per loss and ``loss_adv``; for a loss of several terms ``loss_<term>`` each, or
            ``loss_<name>_<term>`` where that would be the name of another one, too.

        Raises:
            ValueError: Two terms have one name all the same.
        """
        values = {name: loss(outputs, pyramid) for name, loss in self.losses.items()}
        if self.with_gan:
            scores = [self.score(outputs[scale - 1], pyramid[scale - 1].mask) for scale in self.critic_scales]
            values['adv'] = mean_of([self.loss_gan(score, True, is_disc=False) for score in scores])
        return {f'loss_{name}': value for name, value in name_terms(values).items()}

    def forward_tensor(self, inputs: Tensor, data_samples: DataSample) -> tuple[Tensor, Tensor]:
        """Inpaint masked images in [-1, 1] with 0 in the hole, (N, 3, H, W), by ``mask`` of the samples, (N, 1, H, W).

        Returns the raw output at full size and the same with the known pixels put back, both (N, 3, H, W).
        """
        mask = data_samples.mask.to(inputs.dtype)
        raw = self.generator(torch.cat((inputs, mask), dim=1))[0].to(inputs.dtype)
        return raw, torch.where(mask > 0, raw, inputs)

    def forward_test(self, inputs: Tensor, data_samples: DataSample) -> DataSample:
        """Inpaint as :meth:`forward_tensor` does, and bring the images to [0, 255], BGR.

        Returns stacked predictions ``fake_res`` (raw), ``fake_img`` (composed) and ``pred_img``, one of the two.
        """
        raw, composed = (
            self.data_preprocessor.destruct(images, data_samples)
            for images in self.forward_tensor(inputs, data_samples)
        )
        reported = composed if self.test_cfg.get('compose', True) else raw
        return DataSample(fake_res=raw, fake_img=composed, pred_img=reported)


def name_terms(values: Mapping[str, Tensor | Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Give every term of several losses, a tensor or tensors by the names of their terms, a name of its own.

    A loss of a tensor keeps its name; a term of a loss of several keeps its own, unless that is the name of another
    one, too; then it is called ``<loss>_<term>``. ``ValueError`` where two terms have one name all the same.
    """
    by_loss = {name: value if isinstance(value, Mapping) else {name: value} for name, value in values.items()}
    uses = Counter(term for terms in by_loss.values() for term in terms)
    named = {}
    for loss, terms in by_loss.items():
        for term, value in terms.items():
            name = f'{loss}_{term}' if uses[term] > 1 and isinstance(values[loss], Mapping) else term
            if name in named:
                raise ValueError(f'Two terms of the losses {", ".join(values)} are called {name!r}; rename a loss.')
            named[name] = value
    return named

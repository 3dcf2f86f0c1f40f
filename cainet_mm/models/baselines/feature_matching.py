"""Training with a critic whose inner features are matched, as LaMa's."""

from collections.abc import Sequence
from functools import partial

import torch
from mmagic.registry import MODELS as MMAGIC_MODELS
from mmengine.registry import MODELS
from torch import Tensor

from ..inpaintors import CAINetInpaintor, name_terms
from ..losses.multi_scale import mean_of
from ..pyramids import Level


@MODELS.register_module()
class FeatureMatchingInpaintor(CAINetInpaintor):
    """CAINet's training step with LaMa's use of the critic.

    The critic's adversarial loss gets the mask, since the known region of an output is no fake; the generator brings
    the critic's features of its image close to those of the true one; and the critic sees the output or the composite.
    True images and outputs go through the critic one after the other, each with the batch statistics of their kind.

    Args:
        args: Those of :class:`CAINetInpaintor`.
        loss_fm: Config of the loss between features, logged as ``loss_feature_matching``; the critic has to hand them
            out (``return_features``), as a :class:`PatchCritic` does. ``None`` for none.
        critic_sees: ``'output'``, or ``'composed'``: the output in the hole and the true image elsewhere.
        kwargs: Those of :class:`CAINetInpaintor`. ``loss_gan`` takes a mask, as a :class:`LogisticGANLoss` does.

    Raises:
        ValueError: As of :class:`CAINetInpaintor`; there is no critic, another loss is called ``feature_matching``, or
            ``critic_sees`` is unknown.
    """

    def __init__(self, *args, loss_fm: dict | None = None, critic_sees: str = 'output', **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if critic_sees not in ('output', 'composed'):
            raise ValueError(f"The critic sees the 'output' or what is 'composed', got critic_sees={critic_sees!r}.")
        if not self.with_gan:
            raise ValueError('FeatureMatchingInpaintor trains with a critic (disc); take a CAINetInpaintor without.')
        if loss_fm is not None and 'feature_matching' in self.losses:
            raise ValueError("loss_fm is logged as 'feature_matching'; give the loss of that name another one.")
        self.loss_fm = None if loss_fm is None else MMAGIC_MODELS.build(loss_fm)
        self.critic_sees = critic_sees

    def seen_by_critic(self, output: Tensor, level: Level) -> Tensor:
        """What the critic sees of an output, (N, 3, h, w)."""
        return output if self.critic_sees == 'output' else torch.where(level.mask > 0, output, level.target)

    def critic_losses(
        self, outputs: Sequence[Tensor], pyramid: Sequence[Level], penalty_weight: float = 1
    ) -> dict[str, Tensor]:
        """The critic's terms, as those of :class:`CAINetInpaintor`."""
        terms: dict[str, list[Tensor]] = dict(critic_real=[], critic_fake=[], critic_penalty=[])
        for scale in self.critic_scales:
            real, mask = level = pyramid[scale - 1]
            fake = self.seen_by_critic(outputs[scale - 1].detach().to(real.dtype), level)
            score = partial(self.score, mask=mask)
            terms['critic_real'].append(self.loss_gan(score(real), True, is_disc=True))
            terms['critic_fake'].append(self.loss_gan(score(fake), False, is_disc=True, mask=mask))
            terms['critic_penalty'].append(self.penalty(score, real, fake, penalty_weight))
        return {name: mean_of(values) for name, values in terms.items()}

    def generator_losses(self, outputs: Sequence[Tensor], pyramid: Sequence[Level]) -> dict[str, Tensor]:
        """All weighted terms of the generator, as those of :class:`CAINetInpaintor`, and ``loss_feature_matching``."""
        levels = {scale: pyramid[scale - 1] for scale in self.critic_scales}
        seen = {scale: self.seen_by_critic(outputs[scale - 1], level) for scale, level in levels.items()}
        adversarial, matching = [], []
        for scale, level in levels.items():
            if self.loss_fm is None:
                scores = self.score(seen[scale], level.mask)
            else:
                scores, features = self.score(seen[scale], level.mask, return_features=True)
                with torch.no_grad():
                    _, true = self.score(level.target, level.mask, return_features=True)
                matching.append(self.loss_fm(features, true))
            adversarial.append(self.loss_gan(scores, True, is_disc=False))
        values = {name: loss(outputs, pyramid) for name, loss in self.losses.items()}
        values['adv'] = mean_of(adversarial)
        if matching:
            values['feature_matching'] = mean_of(matching)
        return {f'loss_{name}': value for name, value in name_terms(values).items()}

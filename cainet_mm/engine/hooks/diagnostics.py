"""Hooks that log diagnostics of a training, and warn at a threshold: collapsed features, a diverged critic."""

import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor

from ...utils.dist import unwrap_model


class _DiagnosticHook(Hook):
    """Logs scalars every so many iterations, and warns where they pass a threshold, but not every time."""

    def __init__(self, interval: int, quiet: int) -> None:
        if interval < 1 or quiet < 0:
            raise ValueError(
                f'{type(self).__name__} takes an interval from 1 up and quiet from 0 up, got {interval} and {quiet}.'
            )
        self.interval, self.quiet, self._silent = interval, quiet, 0
        # of the iterations since the last look, (), still on the device
        self._seen: dict[str, list[Tensor]] = {}

    def _add(self, values: Mapping[str, Tensor]) -> None:
        for name, value in values.items():
            self._seen.setdefault(name, []).append(value)

    def _take_means(self) -> dict[str, float]:
        means = {name: torch.stack(values).mean() for name, values in self._seen.items()}
        self._seen = {}
        # one read from the device
        return dict(zip(means, torch.stack(list(means.values())).tolist(), strict=True)) if means else {}

    def _report(self, runner: Runner, values: Mapping[str, float], problems: Sequence[str], advice: str) -> None:
        """Log values, and warn of problems."""
        for name, value in values.items():
            runner.message_hub.update_scalar(f'train/{name}', value)
        if self._silent:
            self._silent -= 1
        elif problems:
            self._silent = self.quiet
            runner.logger.warning(f'Iteration {runner.iter + 1}: {"; ".join(problems)}. {advice}')


@HOOKS.register_module()
class CollapseHook(_DiagnosticHook):
    r"""Logs the spread of the features of stage 1, or of any MoCo of MMPretrain, and warns when they collapse.

    It looks at the queue of keys, unit vectors :math:`k \in \mathbb{R}^d`, once all of them come from training; no
    forward pass is needed. With :math:`\sigma_j` the standard deviation of dimension j over the queue and C the
    covariance of the keys, it logs

    .. math::
        \text{feature\_spread} = \frac{1}{\sqrt{d}} \sum_j \sigma_j
        \quad (1 \text{ for uniform keys, } 0 \text{ for constant ones}),
        \qquad \text{feature\_dimensions} = \frac{(\operatorname{tr} C)^2}{\lVert C \rVert_F^2}
        \quad (1 \text{ to } d).

    On ``configs/quickstart/stage1.py`` (d = 64, 512 keys, log(K + 1) = 6.24), at iterations 100 to 200, a good run has
    a spread of 0.89, 12 to 15 dimensions and a loss of 0.4. With a learning rate 100 or 1000 times as high, without a
    momentum or from a nearly constant neck the spread is 0.1 to 0.8, the loss 2.0 to 5.6, and there are 1.0 to 1.2
    dimensions, within 50 iterations: collapsed features lie on a line, on which keys are told apart by their age.

    Args:
        interval: Every how many iterations it looks.
        min_spread: Warns below this spread.
        min_dimensions: Warns below this number of dimensions.
        max_loss: Warns above this share of :math:`\log(K + 1)`, the loss of guessing, as a mean over the interval.
        quiet: How many looks it does not warn after a warning.

    Raises:
        ValueError: A number out of range or, at the start, a model without a queue of keys.
    """

    def __init__(
        self,
        interval: int = 100,
        min_spread: float = 0.3,
        min_dimensions: float = 2.0,
        max_loss: float = 0.95,
        quiet: int = 10,
    ) -> None:
        super().__init__(interval, quiet)
        self.min_spread, self.min_dimensions, self.max_loss = min_spread, min_dimensions, max_loss

    def before_train(self, runner: Runner) -> None:
        model = unwrap_model(runner.model)
        if not isinstance(getattr(model, 'queue', None), Tensor):
            raise ValueError(
                f'CollapseHook looks at the queue of a contrastive model, such as SiameseMoCo, but '
                f'{type(model).__name__} has none. Take the hook out of the config.'
            )

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if not is_main_process():
            return
        self._add({name: value for name, value in scalars_in(outputs).items() if name == 'loss'})
        if not self.every_n_train_iters(runner, self.interval):
            return
        loss = self._take_means().get('loss', math.nan)
        queue = unwrap_model(runner.model).queue
        batch_size = getattr(runner.train_dataloader, 'batch_size', None) or 1
        if (runner.iter + 1) * batch_size * get_world_size() < queue.shape[1]:
            return
        spread, dimensions = measure_spread(queue)
        guessing = math.log(queue.shape[1] + 1)
        keys, problems = 'the keys in the queue', []
        if spread < self.min_spread:
            problems.append(f'{keys} are nearly constant, spread {spread:.3f} (uniform ones: 1)')
        if dimensions < self.min_dimensions:
            problems.append(f'{keys} vary in {dimensions:.2f} of {queue.shape[0]} dimensions, as collapsed ones do')
        if loss > self.max_loss * guessing:
            problems.append(f'the contrastive loss {loss:.3f} is that of guessing, log(K + 1) = {guessing:.3f}')
        self._report(
            runner,
            dict(feature_spread=spread, feature_dimensions=dimensions),
            problems,
            'What helps is a lower learning rate, a slower key encoder (a smaller momentum), batch norm that sees more '
            'samples, or a longer queue; the encoder is of no use as it is.',
        )


@torch.no_grad()
def measure_spread(keys: Tensor) -> tuple[float, float]:
    """Spread and dimensions of keys (d, K), as :class:`CollapseHook` defines them."""
    covariance = torch.cov(keys.float())
    variances = covariance.diagonal()
    # constant keys vary in no dimension at all
    dimensions = variances.sum().square() / covariance.square().sum().clamp_min(torch.finfo(torch.float32).tiny)
    spread = variances.clamp_min(0).sqrt().sum() / math.sqrt(keys.shape[0])
    return tuple(torch.stack((spread, dimensions)).tolist())


@HOOKS.register_module()
class CriticHook(_DiagnosticHook):
    r"""Logs how far a critic is from a WGAN's, and warns when it has diverged, or dominates the generator's objective.

    It reads the logged losses of CAINet's and of MMagic's inpaintors, as means over an interval, so the device is
    waited for once per interval. With a WGAN's critic D, real images Y, outputs :math:`\hat Y`, both of n values in
    [-1, 1], and the penalty :math:`\lambda\,\mathrm{E}(\lVert\nabla D\rVert - 1)^2`, it warns where

    .. math::
        \sqrt{\text{penalty} / \lambda} > s, \qquad
        |\mathrm{E} D(Y) - \mathrm{E} D(\hat Y)| > w \sqrt{n}, \qquad
        \tfrac{1}{2} |\mathrm{E} D(Y) + \mathrm{E} D(\hat Y)| > m \sqrt{n}, \qquad
        |\text{adv}| > r \sum |\text{other terms}|.

    The left sides are logged as ``critic_slope_error``, ``critic_estimate``, ``critic_score`` and
    ``adversarial_share``. A critic that is constant has a slope error of s = 1. One of slope 1 tells images that differ
    by 1 in every value apart by :math:`\sqrt n`. Scores may drift, as only their differences are trained. Critics of
    other kinds (hinge, ...) are judged by the last criterion alone, and the penalty where there is one.

    Measured on ``configs/quickstart/stage2.py`` from random weights, :math:`\sqrt n` = 111, from iteration 32 on:

    ========================================  ===============  ===============  =============  ===========
    run                                       slope error      estimate         mean score     adv / other
    ========================================  ===============  ===============  =============  ===========
    as configured                             0.08 to 0.12     0.01 to 1.1      0.2 to 9.9     0 to 0.04
    critic's learning rate 1 instead of 1e-3  300 to 150,000   4 to 1,400       110 to 13,000  0.04 to 21
    no gradient penalty                       not known        4 to 700         30 to 830      0.1 to 1.2
    ========================================  ===============  ===============  =============  ===========

    Args:
        interval: Every how many iterations it looks.
        begin: The iteration from which it looks; a critic needs some to find its slope.
        max_slope_error: s.
        max_estimate: w.
        max_score: m.
        max_adversarial: r.
        quiet: How many looks it does not warn after a warning.

    Raises:
        ValueError: A number out of range.
    """

    # names of losses in the log; all others are further terms of the generator
    names = dict(
        real=('critic_real', 'real_loss*'),  # -E D(Y)
        fake=('critic_fake', 'fake_loss*'),  # E D(output)
        penalty=('critic_penalty', 'loss_gp*'),
        adversarial=('loss_adv', '*loss_g_fake'),
        ignored=('loss', '*disc*'),
    )
    # what a value above its threshold says
    problems = dict(
        critic_slope_error="the critic's slopes are off by {value:.3g} (a constant critic's by 1)",
        critic_estimate='the critic tells real images from outputs by {value:.4g}, more than one of slope 1 is '
        'expected to ({threshold:.4g})',
        critic_score="the critic's scores have drifted to {value:.4g} (expected: up to {threshold:.4g})",
        adversarial_share="the adversarial term is {value:.3g} times the generator's other terms together",
    )

    def __init__(
        self,
        interval: int = 100,
        begin: int = 200,
        max_slope_error: float = 1.0,
        max_estimate: float = 1.0,
        max_score: float = 10.0,
        max_adversarial: float = 1.0,
        quiet: int = 10,
    ) -> None:
        super().__init__(interval, quiet)
        self.begin = begin
        self.max_slope_error, self.max_adversarial = max_slope_error, max_adversarial
        self.max_estimate, self.max_score = max_estimate, max_score

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        if not is_main_process() or runner.iter + 1 < self.begin:
            return
        model = unwrap_model(runner.model)
        self._add(self._measure(scalars_in(outputs), getattr(getattr(model, 'loss_gan', None), 'gan_type', 'wgan')))
        if not self.every_n_train_iters(runner, self.interval):
            return
        values = self._take_means()
        penalty, adversarial, terms = (values.pop(name, None) for name in ('penalty', 'adversarial', 'terms'))
        loss_gp = getattr(model, 'loss_gp', None)
        weight = getattr(loss_gp, 'loss_weight', 0)
        if penalty is not None and weight and getattr(loss_gp, 'wanted_slope', 1) == 1:
            values['critic_slope_error'] = math.sqrt(penalty / weight)
        if adversarial is not None and terms:
            values['adversarial_share'] = adversarial / terms
        size = math.sqrt(count_values(data_batch))
        thresholds = dict(
            critic_slope_error=self.max_slope_error,
            critic_estimate=self.max_estimate * size,
            critic_score=self.max_score * size,
            adversarial_share=self.max_adversarial,
        )
        self._report(
            runner,
            values,
            [
                self.problems[name].format(value=values[name], threshold=threshold)
                for name, threshold in thresholds.items()
                if values.get(name, 0.0) > threshold  # nan, which is for FiniteHook, is not
            ],
            'What helps is a lower learning rate of the critic (disc), a larger weight of the gradient penalty '
            '(loss_gp), a smaller one of the adversarial term (loss_gan), or float32 for the critic.',
        )

    def _measure(self, losses: Mapping[str, Tensor], gan_type: str) -> dict[str, Tensor]:
        """What the losses of an iteration tell, (), still on the device."""
        by_kind: dict[str, list[Tensor]] = {}
        for name, value in losses.items():
            kinds = (kind for kind, names in self.names.items() if any(fnmatchcase(name, each) for each in names))
            by_kind.setdefault(next(kinds, 'terms'), []).append(value)
        values = {}
        if gan_type == 'wgan' and 'real' in by_kind and 'fake' in by_kind:
            real, fake = (torch.stack(by_kind[kind]).mean() for kind in ('real', 'fake'))
            values = dict(critic_estimate=(real + fake).abs(), critic_score=((fake - real) / 2).abs())
        if 'penalty' in by_kind:
            values['penalty'] = torch.stack(by_kind['penalty']).mean()
        return values | {
            kind: sum(map(abs, by_kind[kind]), torch.zeros(())) for kind in ('adversarial', 'terms') if kind in by_kind
        }


def scalars_in(outputs: Mapping | None) -> dict[str, Tensor]:
    """The logged values of an iteration, (), which stay on the device."""
    return {
        name: value.detach().reshape(()).float()
        for name, value in (outputs or {}).items()
        if isinstance(value, Tensor) and value.numel() == 1
    }


def count_values(batch: object) -> float:
    """Number of values in an image of a batch, 3HW; infinite where the batch does not say."""
    inputs = batch.get('inputs') if isinstance(batch, Mapping) else None
    images = inputs if isinstance(inputs, list | tuple | Tensor) and len(inputs) else [None]
    return images[0].numel() if isinstance(images[0], Tensor) else math.inf

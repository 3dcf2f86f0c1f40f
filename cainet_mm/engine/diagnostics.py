"""Hooks that warn of trainings that go on but learn nothing: collapsed features, a critic that has run away."""

import math
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

import torch
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from .health import plain_model


class _WarnsSometimes(Hook):
    """Looks at the training every so many iterations, and says what is wrong, but not every time.

    Args:
        interval: Every how many iterations it looks.
        quiet: How many looks it says nothing after it has warned.

    Raises:
        ValueError: A number below 1.
    """

    priority = 'LOW'

    def __init__(self, interval: int, quiet: int) -> None:
        if interval < 1 or quiet < 0:
            raise ValueError(
                f'{type(self).__name__} takes an interval from 1 up and quiet from 0 up, got {interval} and {quiet}.'
            )
        self.interval = interval
        self.quiet = quiet
        self._silent = 0

    def _warn(self, runner: Runner, problems: Sequence[str], advice: str) -> None:
        if self._silent:
            self._silent -= 1
        elif problems:
            self._silent = self.quiet
            runner.logger.warning(f'Iteration {runner.iter + 1}: {"; ".join(problems)}. {advice}')


class _Window:
    """The logged values of some iterations, which stay on the device until their means are asked for."""

    def __init__(self) -> None:
        self.values: dict[str, list[Tensor]] = {}

    def add(self, outputs: Mapping | None) -> None:
        """Take the values of an iteration."""
        for name, value in (outputs or {}).items():
            if isinstance(value, Tensor) and value.numel() == 1:
                self.values.setdefault(name, []).append(value.detach().reshape(()).float())

    def take(self, patterns: Sequence[str]) -> Tensor | None:
        """The values by name and iteration, (names, iterations), of the names that fit a pattern; ``None`` without."""
        found = [values for name, values in self.values.items() if fits(name, patterns)]
        if not found:
            return None
        common = min(map(len, found))
        return torch.stack([torch.stack(values[-common:]) for values in found])


def fits(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name fits one of the patterns."""
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@HOOKS.register_module()
class CollapseHook(_WarnsSometimes):
    r"""Warns when the features of a contrastive training have collapsed, stage 1's or any MoCo's of MMPretrain.

    It looks at the queue of keys, unit vectors :math:`k \in \mathbb{R}^d`, once that holds no random ones any more;
    no forward pass is needed. With :math:`\sigma_j` the standard deviation of dimension j over the queue and C the
    covariance of the keys:

    .. math::
        \text{spread} = \frac{1}{\sqrt{d}} \sum_j \sigma_j
        \quad (1 \text{ for uniform keys, } 0 \text{ for constant ones}),
        \qquad \text{dimensions} = \frac{(\operatorname{tr} C)^2}{\lVert C \rVert_F^2} \quad (1 \text{ to } d).

    Measured on ``configs/quickstart/stage1.py``, d = 64, 512 keys, log(K + 1) = 6.24, at iterations 100 to 200:

    ======================================  ===========  ============  ===========  ==================
    run                                     spread       dimensions    loss         ``positive_first``
    ======================================  ===========  ============  ===========  ==================
    as configured                           0.89         12 to 15      0.4          0.96
    learning rate 0, untrained throughout   0.39         21 to 22      5.4          0.25
    learning rate 0.5 instead of 0.005      0.13 to 0.5  1.01 to 1.2   3.0 to 5.2   1.00
    learning rate 5                         0.18 to 0.2  1.02 to 1.03  4.6 to 4.8   1.00
    momentum 1: E_k is E_q                  0.21 to 0.3  1.03 to 1.05  4.9 to 5.2   1.00
    nearly constant neck at the start       0.09 to 0.8  1.01 to 1.2   2.0 to 5.6   1.00
    ======================================  ===========  ============  ===========  ==================

    So collapsed features lie on a line, on which keys are told apart by their age: ``positive_first`` is perfect then,
    while the loss is not far below guessing. The dimensions tell it first, within 50 iterations.

    Args:
        interval: Every how many iterations it looks.
        min_spread: Warns below this spread.
        min_dimensions: Warns below this number of dimensions.
        max_loss: Warns above this share of :math:`\log(K + 1)`, the loss of guessing, as a mean over the interval.
        quiet: How many looks it says nothing after it has warned.

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
        self.min_spread = min_spread
        self.min_dimensions = min_dimensions
        self.max_loss = max_loss
        self._window = _Window()

    def before_train(self, runner: Runner) -> None:
        """Look for the queue."""
        model = plain_model(runner)
        if not isinstance(getattr(model, 'queue', None), Tensor):
            raise ValueError(
                f'CollapseHook looks at the queue of a contrastive model, such as SiameseMoCo, but '
                f'{type(model).__name__} has none. Take the hook out of the config.'
            )

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Look at the queue and at the losses, in the first process."""
        if not is_main_process():
            return
        self._window.add(outputs)
        if not self.every_n_train_iters(runner, self.interval):
            return
        window, self._window = self._window, _Window()
        queue = plain_model(runner).queue
        batch_size = getattr(runner.train_dataloader, 'batch_size', None) or 1
        if (runner.iter + 1) * batch_size * get_world_size() < queue.shape[1]:
            return
        spread, dimensions = measure_spread(queue)
        losses = window.take(('loss',))
        guessing = math.log(queue.shape[1] + 1)
        loss = math.nan if losses is None else losses.mean().item()
        problems = []
        if spread < self.min_spread:
            problems.append(f'the keys in the queue are nearly constant, spread {spread:.3f} (uniform ones: 1)')
        if dimensions < self.min_dimensions:
            problems.append(
                f'the keys in the queue vary in {dimensions:.2f} of {queue.shape[0]} dimensions, as collapsed ones do'
            )
        if loss > self.max_loss * guessing:
            problems.append(f'the contrastive loss {loss:.3f} is that of guessing, log(K + 1) = {guessing:.3f}')
        self._warn(
            runner,
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
class CriticHook(_WarnsSometimes):
    r"""Warns when a critic has run away, or its term has taken over the generator's objective.

    It reads the logged losses of CAINet's and of MMagic's inpaintors, as means over an interval, so the device is
    waited for once per interval. With a WGAN's critic D, real images Y, outputs :math:`\hat Y`, both of n values in
    [-1, 1], and the penalty :math:`\lambda\,\mathrm{E}(\lVert\nabla D\rVert - 1)^2`, it warns where

    .. math::
        \sqrt{\text{penalty} / \lambda} > s, \qquad
        |\mathrm{E} D(Y) - \mathrm{E} D(\hat Y)| > w \sqrt{n}, \qquad
        \tfrac{1}{2} |\mathrm{E} D(Y) + \mathrm{E} D(\hat Y)| > m \sqrt{n}, \qquad
        |\text{adv}| > r \sum |\text{other terms}|.

    A critic that is constant has a slope error of s = 1. One of slope 1 tells images that differ by 1 in every value
    apart by :math:`\sqrt n`. Scores may drift, as only their differences are trained; the estimate begins near 0 and
    grows to many times its first value in a good run, so a multiple of that is no threshold. Critics of other kinds
    (hinge, ...) are judged by the last criterion alone, and the penalty where there is one.

    Measured on ``configs/quickstart/stage2.py`` from random weights, :math:`\sqrt n` = 111, means over 16 to
    37 iterations, from the 32nd on, to the 450th, 200th and 300th:

    ========================================  ===============  ===============  ============  ===========
    run                                       slope error      estimate         mean score    adv / other
    ========================================  ===============  ===============  ============  ===========
    as configured                             0.08 to 0.12     0.01 to 1.1      0.2 to 9.9    0 to 0.04
    critic's learning rate 1 instead of 1e-3  300 to 150,000   4 to 1,400       110 to 13,000 0.04 to 21
    no gradient penalty                       not known        4 to 700         30 to 830     0.1 to 1.2
    ========================================  ===============  ===============  ============  ===========

    Args:
        interval: Every how many iterations it looks.
        begin: The iteration from which it looks; a critic needs some to find its slope.
        max_slope_error: s.
        max_estimate: w.
        max_score: m.
        max_adversarial: r.
        quiet: How many looks it says nothing after it has warned.
        real: Names, with wildcards, of the critic's loss on real images, :math:`-\mathrm{E} D(Y)`.
        fake: Those of its loss on outputs, :math:`\mathrm{E} D(\hat Y)`.
        penalty: Those of the gradient penalty.
        adversarial: Those of the generator's adversarial term.
        ignored: Further names that are no terms of the generator.

    Raises:
        ValueError: A number out of range.
    """

    def __init__(
        self,
        interval: int = 100,
        begin: int = 200,
        max_slope_error: float = 1.0,
        max_estimate: float = 1.0,
        max_score: float = 10.0,
        max_adversarial: float = 1.0,
        quiet: int = 10,
        real: Sequence[str] = ('critic_real', 'real_loss*'),
        fake: Sequence[str] = ('critic_fake', 'fake_loss*'),
        penalty: Sequence[str] = ('critic_penalty', 'loss_gp*'),
        adversarial: Sequence[str] = ('loss_adv', '*loss_g_fake'),
        ignored: Sequence[str] = ('loss', '*disc*'),
    ) -> None:
        super().__init__(interval, quiet)
        self.begin = begin
        self.max_slope_error = max_slope_error
        self.max_estimate = max_estimate
        self.max_score = max_score
        self.max_adversarial = max_adversarial
        self.real, self.fake, self.penalty, self.adversarial = real, fake, penalty, adversarial
        self.no_terms = (*real, *fake, *penalty, *adversarial, *ignored)
        self._window = _Window()

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Collect the losses, and look at them, in the first process."""
        if not is_main_process() or runner.iter + 1 < self.begin:
            return
        self._window.add(outputs)
        if not self.every_n_train_iters(runner, self.interval):
            return
        window, self._window = self._window, _Window()
        model = plain_model(runner)
        figures = {name: value for name, value in self._measure(window, model).items() if value is not None}
        if not figures:
            return
        # the only read
        values = dict(zip(figures, torch.stack(list(figures.values())).tolist(), strict=True))
        self._warn(
            runner,
            list(self._judge(values, math.sqrt(count_values(data_batch)))),
            'What helps is a lower learning rate of the critic (disc), a larger weight of the gradient penalty '
            '(loss_gp), a smaller one of the adversarial term (loss_gan), or float32 for the critic.',
        )

    def _measure(self, window: _Window, model: nn.Module) -> dict[str, Tensor | None]:
        """The means, still on the device, (); ``None`` for those that the model does not log."""
        real, fake, penalty, adversarial = map(window.take, (self.real, self.fake, self.penalty, self.adversarial))
        figures: dict[str, Tensor | None] = {}
        gan_type = getattr(getattr(model, 'loss_gan', None), 'gan_type', 'wgan')
        if gan_type == 'wgan' and real is not None and fake is not None:
            length = min(real.shape[1], fake.shape[1])
            real, fake = real[:, -length:], fake[:, -length:]
            figures['estimate'] = (real.mean(0) + fake.mean(0)).abs().mean()
            figures['score'] = ((fake.mean(0) - real.mean(0)) / 2).abs().mean()
        loss_gp = getattr(model, 'loss_gp', None)
        weight = getattr(loss_gp, 'loss_weight', 0)
        if penalty is not None and weight and getattr(loss_gp, 'wanted_slope', 1) == 1:
            figures['slope'] = (penalty.mean() / weight).sqrt()
        terms = [window.take((name,)).abs().mean() for name in window.values if not fits(name, self.no_terms)]
        if adversarial is not None and terms:
            figures['share'] = adversarial.abs().sum(0).mean() / sum(terms)
        return figures

    def _judge(self, values: Mapping[str, float], size: float) -> Iterator[str]:
        slope, estimate = values.get('slope', 0.0), values.get('estimate', 0.0)
        score, share = values.get('score', 0.0), values.get('share', 0.0)
        # nan is for FiniteHook
        if slope > self.max_slope_error:
            yield f"the critic's slopes are off by {slope:.3g} (a constant critic's by 1)"
        if estimate > self.max_estimate * size:
            yield (
                f'the critic tells real images from outputs by {estimate:.4g}, more than one of slope 1 is expected to '
                f'({self.max_estimate * size:.4g})'
            )
        if score > self.max_score * size:
            yield f"the critic's scores have drifted to {score:.4g} (expected: up to {self.max_score * size:.4g})"
        if share > self.max_adversarial:
            yield f"the adversarial term is {share:.3g} times the generator's other terms together"


def count_values(batch: object) -> float:
    """Number of values in an image of a batch, 3HW; infinite where the batch does not tell."""
    inputs = batch.get('inputs') if isinstance(batch, Mapping) else None
    if isinstance(inputs, Tensor) and inputs.ndim == 4:
        return inputs[0].numel()
    if isinstance(inputs, list | tuple) and inputs and isinstance(inputs[0], Tensor):
        return inputs[0].numel()
    return math.inf

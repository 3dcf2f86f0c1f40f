"""Trainings that break are noticed, named, and leave nothing broken behind."""

import errno
import math
import multiprocessing
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, tiny, without_vgg_weights
from mmagic.structures import DataSample
from mmengine.config import Config
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.registry import DATASETS, HOOKS, MODEL_WRAPPERS, MODELS, OPTIM_WRAPPERS
from mmengine.runner import Runner
from mmengine.runner.checkpoint import CheckpointLoader

from cainet_mm.engine import CollapseHook, CriticHook, FiniteHook, NonFiniteError, load_broken_batch
from cainet_mm.engine.hooks.diagnostics import measure_spread

RUNTIME = ROOT / 'configs' / '_base_' / 'default_runtime.py'
PER_BATCH = 4


@DATASETS.register_module()
class FloatImages(torch.utils.data.Dataset):
    """Sixteen small images, in order, of which one may be broken."""

    def __init__(self, broken=None):
        self.images = torch.rand(16, 3, 4, 4, generator=torch.Generator().manual_seed(0))
        if broken is not None:
            self.images[broken, 1, 2, 3] = math.nan

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        sample = DataSample(metainfo=dict(gt_path=f'photos/{index:02}.png', sample_idx=index))
        sample.set_data(dict(mask=torch.full((1, 4, 4), index, dtype=torch.uint8)))
        return dict(inputs=self.images[index], data_samples=sample)


@MODELS.register_module()
class ToyInpaintor(BaseModel):
    """A generator with batch norm and a critic, in which faults are planted by iteration and name.

    ``faults`` are pairs (iteration, what): a term of the log, which becomes nan, or a parameter, of which the gradient
    becomes nan while every loss stays finite.
    """

    def __init__(self, faults=()):
        super().__init__()
        self.generator = torch.nn.Sequential(
            torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3), torch.nn.Conv2d(3, 3, 1)
        )
        self.disc = torch.nn.Linear(48, 1)
        self.faults = {tuple(fault) for fault in faults}
        self.iteration = 0

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.generator(torch.stack(inputs))

    def step(self, wrapper, terms):
        spoilt = {
            name: value * (math.nan if (self.iteration, name) in self.faults else 1) for name, value in terms.items()
        }
        loss = sum(spoilt.values())
        for name, parameter in self.named_parameters():
            if (self.iteration, name) in self.faults:
                # the root of 0: a loss of 0 with a gradient of 0 * inf
                loss = loss + (0 * parameter).sum().sqrt()
        wrapper.update_params(loss)
        return {name: value.detach() for name, value in spoilt.items()}

    def train_step(self, data, optim_wrapper):
        self.iteration += 1
        images = torch.stack(self.data_preprocessor(data, True)['inputs'])
        outputs = self.generator(images)
        both = isinstance(optim_wrapper, dict) or hasattr(optim_wrapper, 'optim_wrappers')
        log = {}
        if both:
            real, fake = self.disc(images.flatten(1)).mean(), self.disc(outputs.detach().flatten(1)).mean()
            log |= self.step(optim_wrapper['disc'], dict(critic_real=-real, critic_fake=fake))
        terms = dict(loss_rec=(outputs - images).square().mean(), loss_tv=0.1 * outputs.abs().mean())
        log |= self.step(optim_wrapper['generator'] if both else optim_wrapper, terms)
        metric = math.nan if (self.iteration, 'metric') in self.faults else 0.5
        return log | dict(metric=torch.tensor(metric))


class Watch(Hook):
    """Keeps what was warned of and, if asked to, the state of model and optimisers around every iteration."""

    priority = 'VERY_LOW'

    def __init__(self, states=True):
        self.states = states
        self.before, self.after, self.warnings = {}, {}, []

    def before_train(self, runner):
        runner.logger.warning = self.warnings.append

    @property
    def faults(self):
        return [text for text in self.warnings if text.startswith('Iteration')]

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if self.states:
            self.before[runner.iter + 1] = snapshot(runner)

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        if self.states:
            self.after[runner.iter + 1] = snapshot(runner)


def snapshot(runner):
    """Weights, buffers and optimisers, as bytes that are equal where these are."""
    return {
        **{name: value.numpy().tobytes() for name, value in runner.model.state_dict().items()},
        **{f'optimiser {name}': pickle.dumps(to_lists(state)) for name, state in states(runner.optim_wrapper)},
    }


def states(wrapper):
    parts = wrapper.items() if hasattr(wrapper, 'optim_wrappers') else [('all', wrapper)]
    return [(name, part.optimizer.state_dict()['state']) for name, part in parts]


def to_lists(state):
    if isinstance(state, torch.Tensor):
        return state.tolist()
    return {key: to_lists(value) for key, value in state.items()} if isinstance(state, dict) else state


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


TWO = dict(
    constructor='MultiOptimWrapperConstructor',
    generator=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2)),
    disc=dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=1e-2)),
)
ONE = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=1e-2, momentum=0.9, weight_decay=0.1))


def make_run(work_dir, name, hook=None, iters=6, save=100, wrapper=TWO, broken=None, faults=(), seed=0):
    """A run of the toy with a hook of the given settings, in batches of four; all of its parts."""
    config = Config.fromfile(RUNTIME)
    # 'pictures' draws curves, a second for each run
    for key in ('finite', 'step_state', 'pictures'):
        config.default_hooks.pop(key, None)
    config.merge_from_dict(
        dict(
            work_dir=str(work_dir),
            experiment_name=name,
            model=dict(type='ToyInpaintor', faults=faults),
            optim_wrapper=wrapper,
            train_cfg=dict(type='ResumableTrainLoop', max_iters=iters),
            default_hooks=dict(logger=dict(interval=1), checkpoint=dict(interval=save)),
            randomness=dict(seed=seed),
            train_dataloader=dict(
                batch_size=PER_BATCH,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                dataset=dict(type='FloatImages', broken=broken),
            ),
        )
    )
    runner = Runner.from_cfg(config)
    if hook is not None:
        runner.register_hook(HOOKS.build(dict(type='FiniteHook', **hook)))
    watch = Watch()
    runner.register_hook(watch)
    return runner, watch


def stop(*args, **kwargs):
    """Train until the hook stops it; the message, the runner, and the states that were seen."""
    runner, watch = make_run(*args, **kwargs)
    with pytest.raises(NonFiniteError) as caught:
        runner.train()
    return str(caught.value), runner, watch


def weights_in(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')['state_dict']


class TestStop:
    def test_a_broken_image_is_named_and_its_batch_is_kept(self, tmp_path):
        # image 9 is in the third batch
        message, runner, _ = stop(tmp_path, 'image', {}, broken=9)
        assert message.startswith('Iteration 3: the loss ')
        assert "'loss_rec' is nan" in message and 'photos/08.png, photos/09.png' in message
        assert 'of which photos/09.png came with values that are not finite' in message
        path = tmp_path / 'broken/iter_3.pth'
        assert str(path) in message
        content = torch.load(path, weights_only=True)
        assert content['iteration'] == 3 and content['sources'][1] == 'photos/09.png'
        # the batch is the loop's: images, masks, names, indices
        batch = load_broken_batch(path)
        expected = [FloatImages(broken=9)[index] for index in range(8, 12)]
        for image, sample, item in zip(batch['inputs'], batch['data_samples'], expected, strict=True):
            torch.testing.assert_close(image, item['inputs'], rtol=0, atol=0, equal_nan=True)
            assert torch.equal(sample.mask, item['data_samples'].mask)
            assert sample.sample_idx == item['data_samples'].sample_idx
            assert type(sample) is DataSample

    def test_a_full_disk_does_not_hide_the_fault(self, tmp_path, monkeypatch):
        def save(content, path):
            raise OSError(errno.ENOSPC, 'No space left on device')

        monkeypatch.setattr(torch, 'save', save)
        message, _, _ = stop(tmp_path, 'full', {}, broken=9)
        assert 'Iteration 3' in message and 'could not be saved in' in message and 'No space left' in message

    def test_the_kept_batch_brings_the_fault_about_again(self, tmp_path):
        stop(tmp_path / 'first', 'first', {}, broken=9)
        runner, _ = make_run(tmp_path / 'again', 'again')
        wrapper = runner.build_optim_wrapper(TWO)
        good = dict(
            inputs=[FloatImages()[index]['inputs'] for index in range(4)],
            data_samples=[FloatImages()[index]['data_samples'] for index in range(4)],
        )
        assert all(value.isfinite() for value in runner.model.train_step(good, wrapper).values())
        log = runner.model.train_step(load_broken_batch(tmp_path / 'first/broken/iter_3.pth'), wrapper)
        assert log['loss_rec'].isnan()

    @pytest.mark.parametrize('lag', [1, 2, 4])
    def test_the_lag_loses_neither_the_iteration_nor_its_batch(self, lag, tmp_path):
        message, runner, _ = stop(tmp_path, f'lag{lag}', dict(lag=lag), broken=9, iters=20)
        assert message.startswith('Iteration 3: ')
        assert runner.model.iteration == 3 + lag - 1
        assert torch.load(tmp_path / 'broken/iter_3.pth', weights_only=True)['sources'][0] == 'photos/08.png'

    @pytest.mark.parametrize('saves', [True, False])
    def test_a_fault_that_is_not_read_yet_at_the_end_is_found(self, saves, tmp_path):
        runner, _ = make_run(tmp_path, f'end_{saves}', dict(lag=50), faults=[(6, 'loss_tv')])
        if not saves:
            runner.hooks[:] = [hook for hook in runner.hooks if not isinstance(hook, CheckpointHook)]
        with pytest.raises(NonFiniteError, match='Iteration 6: '):
            runner.train()
        assert not list(tmp_path.glob('iter_*.pth'))

    def test_one_term_is_named_with_the_others_beside_it(self, tmp_path):
        message, _, _ = stop(tmp_path, 'term', {}, faults=[(2, 'loss_tv')])
        assert re.match(
            r"Iteration 2: the loss 'loss_tv' is nan \(the others: critic_real -?[\d.]+, critic_fake -?[\d.e-]+, "
            r'loss_rec [\d.]+, metric 0.5\)\. The batch \(photos/04',
            message,
        )

    def test_a_metric_that_is_no_loss_counts(self, tmp_path):
        message, _, _ = stop(tmp_path, 'metric', {}, faults=[(2, 'metric')])
        assert "the loss 'metric' is nan" in message

    @pytest.mark.parametrize(
        ('wrapper', 'parameter', 'optimiser'),
        [(TWO, 'disc.weight', 'disc'), (TWO, 'generator.2.bias', 'generator'), (ONE, 'generator.0.weight', 'all')],
    )
    def test_one_gradient_is_named_with_its_optimiser(self, wrapper, parameter, optimiser, tmp_path):
        message, _, _ = stop(tmp_path, f'gradient_{parameter}', {}, wrapper=wrapper, faults=[(2, parameter)])
        assert f'not finite is the gradient of {parameter} (optimiser {optimiser!r}); the losses are: ' in message

    def test_checkpoints_stay_as_they_were_before_the_fault(self, tmp_path):
        # due after iterations 2 and 4; iteration 3 spoils the weights and would be read after 4
        message, _, _ = stop(tmp_path, 'saves', dict(lag=10), save=2, faults=[(3, 'loss_rec')])
        assert f'The last good checkpoint is {tmp_path / "iter_2.pth"}: resume from it' in message
        assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']
        assert all(value.isfinite().all() for value in weights_in(tmp_path / 'iter_2.pth').values())

    @pytest.mark.parametrize('what', ['loss', 'weights'])
    def test_mmengines_hook_does_not_remove_the_last_good_one_first(self, what, tmp_path):
        class SpoilWeights(Hook):
            priority = 'VERY_HIGH'

            def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
                if batch_idx == 3:
                    runner.model.generator[0].weight.data.fill_(math.inf)

        runner, _ = make_run(tmp_path, what, dict(lag=10), faults=[(3, 'loss_rec')] if what == 'loss' else ())
        if what == 'weights':
            runner.register_hook(SpoilWeights())
        runner.hooks[:] = [hook for hook in runner.hooks if not isinstance(hook, CheckpointHook)]
        runner.register_hook(CheckpointHook(interval=2, by_epoch=False, max_keep_ckpts=1))
        with pytest.raises(NonFiniteError, match=r'The last good checkpoint is .*iter_2\.pth'):
            runner.train()
        assert [path.name for path in tmp_path.glob('*.pth')] == ['iter_2.pth']

    def test_a_step_that_goes_too_far_is_noticed_before_it_is_saved(self, tmp_path):
        far = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=3e38, weight_decay=100.0))
        message, _, _ = stop(tmp_path, 'far', dict(lag=10), iters=1, save=1, wrapper=far)
        assert message.startswith(
            'Iteration 1: no checkpoint is saved, as weights are not finite any more (generator.0'
        )
        assert not list(tmp_path.glob('*.pth'))

    def test_nobody_saves_weights_that_are_not_finite(self, tmp_path):
        class SavesByItself(Hook):
            def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
                with torch.no_grad():
                    runner.model.generator[0].weight.fill_(math.inf)
                runner.save_checkpoint(str(tmp_path), 'mine.pth', by_epoch=False)

        (tmp_path / 'mine.pth').write_text('the one before')
        runner, _ = make_run(tmp_path, 'mine', dict(lag=10))
        runner.register_hook(SavesByItself())
        with pytest.raises(NonFiniteError, match=r'not finite any more \(generator\.0\.weight\)'):
            runner.train()
        assert (tmp_path / 'mine.pth').read_text() == 'the one before'

    def test_accumulated_gradients_are_looked_at_batch_by_batch(self, tmp_path):
        # two steps of three batches each: the fault is in the second one of the second step
        message, _, _ = stop(
            tmp_path, 'sum', {}, wrapper=ONE | dict(accumulative_counts=3), faults=[(5, 'generator.0.weight')]
        )
        assert message.startswith('Iteration 5: not finite is the gradient of generator.0.weight')

    def test_the_optimisers_are_left_alone_afterwards(self, tmp_path):
        _, runner, _ = stop(
            tmp_path, 'after', dict(policy='skip', max_skips=1), faults=[(1, 'loss_rec'), (2, 'loss_rec')]
        )
        for _, wrapper in runner.optim_wrapper.items():
            assert not wrapper.optimizer._optimizer_step_pre_hooks and 'backward' not in vars(wrapper)

    def test_bad_settings_are_refused(self):
        for bad in (dict(policy='ignore'), dict(lag=0), dict(max_skips=0), dict(max_files=-1)):
            with pytest.raises(ValueError, match="policy='stop' or 'skip', lag and max_skips from 1 up"):
                FiniteHook(**bad)


class TestSkip:
    def test_a_broken_image_changes_nothing_at_all(self, tmp_path):
        runner, watch = make_run(tmp_path, 'image', dict(policy='skip'), broken=9, iters=8)
        runner.train()
        # weights, statistics of batch norm, both optimisers with their counters
        assert changed(watch.before[3], watch.after[3]) == set()
        assert changed(watch.before[7], watch.after[7]) == set()
        assert {'generator.0.weight', 'generator.1.running_mean', 'disc.weight'} <= changed(
            watch.before[4], watch.after[4]
        )
        assert all(value.isfinite().all() for value in weights_in(tmp_path / 'iter_8.pth').values())
        assert [text[:11] for text in watch.faults] == ['Iteration 3', 'Iteration 7']
        assert "skipped: the step of 'disc', 'generator'." in watch.faults[-1]

    def test_what_is_skipped_leaves_no_trace_in_what_follows(self, tmp_path):
        skipping, skipped = make_run(tmp_path / 'a', 'with', dict(policy='skip'), faults=[(4, 'loss_rec')], iters=4)
        skipping.train()
        plain, reference = make_run(tmp_path / 'b', 'without', iters=3)
        plain.train()
        generator = [name for name in reference.after[3] if 'disc' not in name]
        assert [skipped.after[4][name] for name in generator] == [reference.after[3][name] for name in generator]

    def test_each_optimiser_decides_for_itself(self, tmp_path):
        runner, watch = make_run(tmp_path, 'critic', dict(policy='skip'), faults=[(3, 'disc.bias')])
        runner.train()
        moved = changed(watch.before[3], watch.after[3])
        assert {'generator.0.weight', 'optimiser generator'} <= moved
        assert not {'disc.weight', 'disc.bias', 'optimiser disc'} & moved
        assert "gradient of disc.bias (optimiser 'disc')" in watch.faults[-1]

    def test_a_loss_that_is_not_finite_while_its_gradients_are(self, tmp_path):
        class Constant(Hook):
            """Adds a nan that no gradient passes."""

            priority = 'LOWEST'

            def before_train(self, runner):
                inner = runner.optim_wrapper.update_params
                count = iter(range(1, 100))
                runner.optim_wrapper.update_params = lambda loss: inner(loss + (math.nan if next(count) == 2 else 0))

        runner, watch = make_run(tmp_path, 'constant', dict(policy='skip'), wrapper=ONE, iters=3)
        runner.register_hook(Constant())
        runner.train()
        assert changed(watch.before[2], watch.after[2]) == set()
        assert changed(watch.before[3], watch.after[3])
        assert 'Iteration 2: the loss that was propagated' in watch.faults[-1]

    def test_momentum_and_weight_decay_do_not_move_the_weights_either(self, tmp_path):
        runner, watch = make_run(tmp_path, 'momentum', dict(policy='skip'), wrapper=ONE, faults=[(3, 'loss_tv')])
        runner.train()
        assert changed(watch.before[3], watch.after[3]) == set()

    def test_an_accumulation_is_dropped_and_reported_once(self, tmp_path):
        wrapper = ONE | dict(accumulative_counts=3)
        runner, watch = make_run(
            tmp_path, 'sum', dict(policy='skip'), iters=9, wrapper=wrapper, faults=[(4, 'loss_tv')]
        )
        runner.train()
        weights = {'generator.0.weight', 'generator.2.bias', 'optimiser all'}
        assert not weights & changed(watch.before[4], watch.after[6])
        assert weights <= changed(watch.before[7], watch.after[9])
        named = watch.faults
        assert len(named) == 2 and named[0].startswith("Iteration 4: the loss 'loss_tv' is nan")
        assert named[1] == "Iteration 6: skipped, for gradients that were summed up before: the step of 'all'."
        assert [path.name for path in (tmp_path / 'broken').iterdir()] == ['iter_4.pth']

    def test_too_many_in_a_row_stop_the_run_and_fewer_do_not(self, tmp_path):
        faults = [(number, 'loss_rec') for number in (1, 2, 3, 5, 6, 7, 8)]
        message, runner, watch = stop(tmp_path, 'row', dict(policy='skip', max_skips=3), faults=faults, iters=20)
        assert message.startswith('Iteration 8: ') and 'So were those of 3 iterations before' in message
        assert len(watch.faults) == 6

    def test_files_are_bounded(self, tmp_path):
        faults = [(number, 'loss_rec') for number in range(1, 6)]
        runner, watch = make_run(tmp_path, 'files', dict(policy='skip', max_files=2), faults=faults)
        runner.train()
        assert sorted(path.name for path in (tmp_path / 'broken').iterdir()) == ['iter_1.pth', 'iter_2.pth']
        assert 'was not saved, as there are 2 in' in watch.faults[-1]

    def test_the_queue_of_stage_1_keeps_no_broken_keys(self, tmp_path):
        class BreakImage(Hook):
            def before_train_iter(self, runner, batch_idx, data_batch=None):
                if batch_idx == 2:
                    data_batch['inputs'][1] = torch.full(data_batch['inputs'][1].shape, math.nan)

        config = tiny('stage1', tmp_path, iters=4)
        config.experiment_name = 'queue'
        config.default_hooks.finite = dict(type='FiniteHook', policy='skip')
        runner, watch = Runner.from_cfg(config), Watch()
        runner.register_hook(BreakImage())
        runner.register_hook(watch)
        runner.train()
        moved = changed(watch.before[3], watch.after[3])
        # E_k follows E_q by Eq. (2), which needs no gradient
        assert all(name.startswith('encoder_k.module') for name in moved)
        assert {'queue', 'queue_ptr'} <= changed(watch.before[4], watch.after[4])
        assert all(value.isfinite().all() for value in runner.model.state_dict().values())

    def test_mmagics_inpaintors_skip_as_well(self, tmp_path):
        class BreakImage(Hook):
            def before_train_iter(self, runner, batch_idx, data_batch=None):
                data_batch['inputs'][:] = [image.float() for image in data_batch['inputs']]
                if batch_idx == 1:
                    data_batch['inputs'][1].fill_(math.nan)

        config = Config.fromfile(ROOT / 'configs/baselines/smoke/aot_gan.py')
        without_vgg_weights(config.model)
        config.merge_from_dict(dict(work_dir=str(tmp_path), experiment_name='aot_gan'))
        config.train_cfg = dict(type='ResumableTrainLoop', max_iters=3)
        config.train_dataloader.batch_size = 2
        config.val_dataloader = config.val_cfg = config.val_evaluator = None
        config.default_hooks.finite.policy = 'skip'
        config.default_hooks.pop('pictures')
        runner, watch = Runner.from_cfg(config), Watch(states=False)
        weights = {}

        class Weights(Watch):
            def before_train_iter(self, runner, batch_idx, data_batch=None):
                weights[batch_idx] = {key: value.clone() for key, value in runner.model.state_dict().items()}

        for hook in (BreakImage(), watch, Weights(states=False)):
            runner.register_hook(hook)
        runner.train()
        assert all(torch.equal(weights[1][key], weights[2][key]) for key in weights[1])
        after = runner.model.state_dict()
        assert any(not torch.equal(weights[2][key], after[key]) for key in after)
        assert all(value.isfinite().all() for value in after.values())


@OPTIM_WRAPPERS.register_module()
class ScalingOptimWrapper(OptimWrapper):
    """Scales losses as AmpOptimWrapper does, which takes an accelerator: a step that overflows is not taken."""

    def __init__(self, scale, **kwargs):
        super().__init__(**kwargs)
        self.loss_scaler = SimpleNamespace(scale=scale, is_enabled=lambda: scale != 1)

    def backward(self, loss, **kwargs):
        # float16 ends at 65504
        (loss * self.loss_scaler.scale).backward(**kwargs)
        self._inner_count += 1

    def step(self, **kwargs):
        gradients = [parameter.grad for group in self.param_groups for parameter in group['params']]
        gradients = [gradient for gradient in gradients if gradient is not None]
        if all(gradient.half().isfinite().all() for gradient in gradients):
            torch._foreach_div_(gradients, self.loss_scaler.scale)
            self.optimizer.step(**kwargs)
        else:
            self.loss_scaler.scale /= 2


class TestLossScaling:
    def wrapper(self, scale):
        return dict(type='ScalingOptimWrapper', scale=scale, optimizer=dict(type='SGD', lr=1e-2))

    @pytest.mark.parametrize('policy', ['stop', 'skip'])
    def test_finding_the_scale_is_no_fault(self, policy, tmp_path):
        runner, watch = make_run(tmp_path, policy, dict(policy=policy), iters=12, wrapper=self.wrapper(2.0**22))
        runner.train()
        assert changed(watch.before[1], watch.after[1]) <= {name for name in watch.before[1] if 'generator.1' in name}
        assert 'generator.0.weight' in changed(watch.before[12], watch.after[12])
        assert not (tmp_path / 'broken').exists()

    def test_a_scale_that_is_never_found_is(self, tmp_path):
        message, _, _ = stop(tmp_path, 'never', dict(max_skips=5), iters=12, wrapper=self.wrapper(2.0**100))
        assert message.startswith("Iteration 6: the loss scaler has skipped 6 steps of the optimiser 'all' in a row")

    def test_a_scaler_that_is_switched_off_finds_nothing(self, tmp_path):
        wrapper = self.wrapper(1.0) | dict(accumulative_counts=3)
        message, _, _ = stop(tmp_path, 'off', {}, wrapper=wrapper, faults=[(2, 'generator.2.bias')])
        assert message.startswith('Iteration 2: not finite is the gradient of generator.2.bias')

    def test_a_loss_that_is_not_finite_is(self, tmp_path):
        message, _, _ = stop(tmp_path, 'loss', {}, wrapper=self.wrapper(4.0), faults=[(3, 'loss_tv')])
        assert message.startswith("Iteration 3: the loss 'loss_tv' is nan")

    def test_a_broken_image_leaves_the_statistics_alone(self, tmp_path):
        runner, watch = make_run(tmp_path, 'image', dict(policy='skip'), wrapper=self.wrapper(4.0), broken=9, iters=4)
        runner.train()
        assert changed(watch.before[3], watch.after[3]) == set()
        assert 'generator.1.running_mean' in changed(watch.before[4], watch.after[4])


class TestNothingWrong:
    @pytest.mark.parametrize('wrapper', [TWO, ONE, ONE | dict(accumulative_counts=2)], ids=['two', 'one', 'sum'])
    def test_a_run_is_the_same_bit_for_bit(self, wrapper, tmp_path):
        seen = {}
        for name, hook in dict(without=None, stop={}, skip=dict(policy='skip')).items():
            runner, watch = make_run(tmp_path / name, name, hook, wrapper=wrapper, save=2)
            runner.train()
            seen[name] = watch.after
            assert not (tmp_path / name / 'broken').exists()
            assert not watch.faults
        assert seen['without'] == seen['stop'] == seen['skip']

    @pytest.mark.parametrize('stage', ['stage1', 'stage2'])
    def test_a_run_of_either_stage_is_the_same_bit_for_bit(self, stage, tmp_path):
        own = dict(stage1=dict(type='CollapseHook', interval=1), stage2=dict(type='CriticHook', interval=1, begin=1))
        after = []
        for number, hooks in enumerate(
            [(), (dict(type='FiniteHook'), own[stage]), (dict(type='FiniteHook', policy='skip'),)]
        ):
            config = tiny(stage, tmp_path / str(number), iters=3)
            config.experiment_name = f'{stage}_{number}'
            config.default_hooks.pop('finite', None)
            config.val_dataloader = config.val_cfg = config.val_evaluator = None
            types = ('CollapseHook', 'CriticHook')
            others = [hook for hook in config.get('custom_hooks', []) if hook['type'] not in types]
            config.custom_hooks = [*others, *hooks]
            runner = Runner.from_cfg(config)
            runner.train()
            after.append({name: value.numpy().tobytes() for name, value in runner.model.state_dict().items()})
            assert not (tmp_path / str(number) / 'broken').exists()
        assert after[0] == after[1] == after[2]


def train_in_a_group(rank, folder, policy, accumulate, answers):
    """Process ``rank`` of two that train the same model on the same batches; a number of the second is nan once."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    faults = [(3, 'metric')] if policy == 'stop' else [(3, 'loss_tv')]
    runner, watch = make_run(
        folder / str(rank),
        f'{policy}_{accumulate}_{rank}',
        dict(policy=policy),
        wrapper=ONE | dict(accumulative_counts=accumulate) if accumulate > 1 else TWO,
        faults=faults if rank else (),
    )
    message = None
    try:
        runner.train()
    except NonFiniteError as error:
        message = str(error)
    answers.put(
        (
            rank,
            message,
            runner.model.iteration,
            {key: changed(watch.before[key], watch.after[key]) for key in watch.after},
            watch.faults,
        )
    )
    torch.distributed.destroy_process_group()


def train_in_two_processes(*arguments):
    """What both answer, by rank."""
    # forked, as importing everything anew would take most of the time
    context = multiprocessing.get_context('fork')
    answers = context.Queue()
    processes = [context.Process(target=train_in_a_group, args=(rank, *arguments, answers)) for rank in range(2)]
    for process in processes:
        process.start()
    seen = {rank: rest for rank, *rest in (answers.get(timeout=60) for _ in processes)}
    for process in processes:
        process.join(10)
    return seen


def test_a_sum_that_another_process_spoilt_is_reported_once_and_blames_no_batch(tmp_path):
    seen = train_in_two_processes(tmp_path, 'skip', 3)
    for rank, said in ((0, 'a loss or a gradient in another process is not finite'), (1, "the loss 'loss_tv' is nan")):
        message, _, changes, faults = seen[rank]
        assert message is None and not {'generator.0.weight', 'optimiser all'} & changes[3]
        assert 'generator.0.weight' in changes[6]
        assert len(faults) == 1 and faults[0].startswith(f'Iteration 3: {said}')


def test_the_step_of_a_sum_that_another_process_spoilt_before_is_no_fault_of_its_own(tmp_path):
    # the third of four parts: the step is one iteration later
    seen = train_in_two_processes(tmp_path, 'skip', 4)
    for rank in range(2):
        _, _, changes, faults = seen[rank]
        assert not {'generator.0.weight', 'optimiser all'} & changes[4]
        assert len(faults) == 2 and faults[0].startswith('Iteration 3: ')
        assert faults[1] == "Iteration 4: skipped, for gradients that were summed up before: the step of 'all'."
    assert sorted(path.name for path in tmp_path.rglob('broken/*')) == ['iter_3.pth', 'iter_3_rank1.pth']


@pytest.mark.parametrize('policy', ['stop', 'skip'])
def test_two_processes_decide_alike(policy, tmp_path):
    seen = train_in_two_processes(tmp_path, policy, 1)
    if policy == 'stop':
        assert seen[0][0].startswith('Iteration 3: a loss or a gradient in another process is not finite')
        assert seen[1][0].startswith("Iteration 3: the loss 'metric' is nan")
        assert seen[0][1] == seen[1][1] == 4
        assert sorted(path.name for path in tmp_path.rglob('broken/*')) == ['iter_3.pth', 'iter_3_rank1.pth']
    else:
        assert seen[0][:2] == seen[1][:2] == [None, 6]
        for rank in range(2):
            assert not {'generator.0.weight', 'generator.1.running_mean'} & seen[rank][2][3]
            assert {'disc.weight', 'optimiser disc'} <= seen[rank][2][3]
            assert 'generator.0.weight' in seen[rank][2][4]


class TestCollapse:
    def test_spread_and_dimensions_are_those_of_the_formulas(self):
        keys = torch.nn.functional.normalize(torch.randn(6, 50, generator=torch.Generator().manual_seed(1)), dim=0)
        double = keys.double().numpy()
        deviations = double.std(axis=1, ddof=1)
        eigenvalues = np.linalg.eigvalsh(np.cov(double))
        spread, dimensions = measure_spread(keys)
        assert spread == pytest.approx(deviations.sum() / 6**0.5, rel=1e-5)
        assert dimensions == pytest.approx(eigenvalues.sum() ** 2 / (eigenvalues**2).sum(), rel=1e-5)

    def test_uniform_keys_a_line_and_a_point(self):
        uniform = torch.nn.functional.normalize(
            torch.randn(16, 20000, generator=torch.Generator().manual_seed(2)), dim=0
        )
        assert measure_spread(uniform) == pytest.approx((1, 16), rel=0.02)
        direction = uniform[:, :1]
        assert measure_spread(torch.cat((direction, -direction), 1).repeat(1, 8))[1] == pytest.approx(1)
        assert measure_spread(direction.repeat(1, 8))[0] == pytest.approx(0, abs=1e-5)
        assert measure_spread(torch.zeros(16, 8)) == (0, 0)

    def run(self, folder, name, lr):
        config = Config.fromfile(ROOT / 'configs/quickstart/stage1.py')
        config.merge_from_dict(dict(work_dir=str(folder), experiment_name=name, train_cfg=dict(max_iters=80)))
        config.optim_wrapper.optimizer.lr = lr
        config.default_hooks.pop('pictures')
        config.custom_hooks = [hook for hook in config.custom_hooks if hook['type'] != 'CollapseHook']
        runner, watch = Runner.from_cfg(config), Watch(states=False)
        # 512 keys of 16 a batch: the queue is full after 32
        runner.register_hook(CollapseHook(interval=16, quiet=1))
        runner.register_hook(watch)
        runner.train()
        return watch.faults

    def test_the_quickstart_is_not_warned_of(self, tmp_path):
        assert self.run(tmp_path, 'good', 0.005) == []

    def test_a_rate_far_too_high_is_once_the_queue_is_full_and_not_every_time(self, tmp_path):
        warned = self.run(tmp_path, 'high', 0.5)
        # looks at 32, 48, 64 and 80, and is quiet once after each warning
        assert [int(re.match(r'Iteration (\d+)', text)[1]) for text in warned] in ([32, 64], [48, 80])
        assert re.search(r'the keys in the queue vary in 1\.\d\d of 64 dimensions', warned[0])

    def test_nothing_is_said_before_the_queue_is_full(self):
        # 32 keys, 4 of them in a batch
        runner, warnings = fake_runner(queue=torch.zeros(8, 32))
        hook = CollapseHook(interval=1)
        for runner.iter in range(7):
            hook.after_train_iter(runner, runner.iter, outputs=dict(loss=torch.tensor(1.0)))
        assert warnings == []
        runner.iter = 7
        hook.after_train_iter(runner, 7, outputs=dict(loss=torch.tensor(1.0)))
        assert warnings[0].startswith('Iteration 8: the keys in the queue are nearly constant')
        assert runner.message_hub.log_scalars == {'train/feature_spread': 0, 'train/feature_dimensions': 0}

    def test_a_loss_of_guessing_is_warned_of(self):
        runner, warnings = fake_runner(queue=torch.randn(8, 32), loss=math.log(33))
        hook = CollapseHook(interval=2, min_spread=0, min_dimensions=0)
        for runner.iter in range(8):
            hook.after_train_iter(runner, runner.iter, outputs=dict(loss=torch.tensor(math.log(33) * 0.97)))
        assert len(warnings) == 1 and 'that of guessing, log(K + 1) = 3.497' in warnings[0]
        runner, warnings = fake_runner(queue=torch.randn(8, 32))
        for runner.iter in range(8):
            hook.after_train_iter(runner, runner.iter, outputs=dict(loss=torch.tensor(math.log(33) * 0.9)))
        assert warnings == []

    def test_a_wrapped_model_is_looked_into(self):
        runner, warnings = fake_runner(queue=torch.zeros(8, 32), wrapped=True)
        hook = CollapseHook(interval=8)
        hook.before_train(runner)
        runner.iter = 7
        hook.after_train_iter(runner, 7, outputs=dict(loss=torch.tensor(1.0)))
        assert 'nearly constant, spread 0.000' in warnings[0]

    def test_a_model_without_a_queue_is_refused(self):
        runner, _ = fake_runner()
        with pytest.raises(ValueError, match='such as SiameseMoCo, but Module has none'):
            CollapseHook().before_train(runner)


def fake_runner(queue=None, wrapped=False, weight=10.0, gan_type='wgan', **_):
    """As much of a runner as the hooks that warn need."""
    model, warnings, logged = torch.nn.Module(), [], {}
    if queue is not None:
        model.register_buffer('queue', queue)
    model.loss_gp, model.loss_gan = SimpleNamespace(loss_weight=weight), SimpleNamespace(gan_type=gan_type)
    runner = SimpleNamespace(
        model=MMFullyWrapped(model) if wrapped else model,
        iter=0,
        logger=SimpleNamespace(warning=warnings.append),
        message_hub=SimpleNamespace(update_scalar=logged.__setitem__, log_scalars=logged),
        train_dataloader=SimpleNamespace(batch_size=4),
    )
    return runner, warnings


@MODEL_WRAPPERS.register_module()
class MMFullyWrapped(torch.nn.Module):
    """A model wrapper, without what DistributedDataParallel needs."""

    def __init__(self, module):
        super().__init__()
        self.module = module


class TestCritic:
    def figures(self, hook, log, **model):
        """What a hook says after two iterations with this log, for images of 3 x 10 x 10."""
        runner, warnings = fake_runner(**model)
        for runner.iter in range(2):
            outputs = {name: torch.tensor(value) for name, value in log.items()}
            hook.after_train_iter(runner, runner.iter, dict(inputs=[torch.zeros(3, 10, 10)]), outputs)
        self.logged = runner.message_hub.log_scalars
        return warnings

    good = dict(
        critic_real=-9.0, critic_fake=8.0, critic_penalty=0.1, loss=0.3, loss_rec=0.3, loss_tv=0.01, loss_adv=-0.009
    )

    @pytest.mark.parametrize(
        ('change', 'said'),
        [
            (dict(critic_penalty=10.5), 'slopes are off by 1.02'),
            (
                dict(critic_real=-18.0, critic_fake=0.5),
                r'tells real images from outputs by 17\.5, more .* \(17\.32\)',
            ),
            (dict(critic_real=18.0, critic_fake=-0.5), r'tells real images from outputs by 17\.5'),
            (dict(critic_real=-180.0, critic_fake=179.0), r'have drifted to 179\.5 \(expected: up to 173\.2\)'),
            (dict(loss_adv=-0.32), r"adversarial term is 1\.03 times the generator's other terms"),
        ],
    )
    def test_each_criterion_at_its_threshold(self, change, said):
        hook = dict(interval=2, begin=1)
        assert self.figures(CriticHook(**hook), self.good) == []
        warned = self.figures(CriticHook(**hook), self.good | change)
        assert len(warned) == 1 and re.search(said, warned[0])
        almost = {name: self.good[name] + 0.9 * (value - self.good[name]) for name, value in change.items()}
        assert self.figures(CriticHook(**hook), self.good | almost) == []

    def test_names_of_mmagics_inpaintors(self):
        log = dict(
            real_loss_global=-300.0,
            real_loss_local=-500.0,
            fake_loss_global=200.0,
            fake_loss_local=400.0,
            loss_gp_global=30.0,
            loss_gp_local=50.0,
            stage1_loss_l1_hole=0.1,
            stage2_loss_l1_valid=0.1,
            stage2_loss_g_fake=0.5,
            loss=9.0,
        )
        (warned,) = self.figures(CriticHook(interval=2, begin=1), log)
        # means over image and window: estimate |400 - 300|, score (400 + 300) / 2, penalty 40 / 10
        assert 'slopes are off by 2 ' in warned and 'from outputs by 100,' in warned and 'drifted to 350 ' in warned
        assert 'adversarial term is 2.5 times' in warned
        names = 'critic_estimate', 'critic_score', 'critic_slope_error', 'adversarial_share'
        assert [self.logged[f'train/{name}'] for name in names] == pytest.approx([100, 350, 2, 2.5])

    def test_scores_of_other_critics_are_no_distances(self):
        log = self.good | dict(critic_real=-180.0, critic_fake=500.0)
        assert self.figures(CriticHook(interval=2, begin=1), log)
        assert self.figures(CriticHook(interval=2, begin=1), log, gan_type='hinge') == []

    def test_nothing_is_said_of_models_without_a_critic_nor_before_the_begin(self):
        assert self.figures(CriticHook(interval=2, begin=1), dict(loss=1.0, loss_rec=1.0)) == []
        assert self.figures(CriticHook(interval=2, begin=3), self.good | dict(critic_penalty=1e6)) == []

    def run(self, folder, name, iters, **changes):
        config = tiny('stage2', folder, iters=iters)
        config.merge_from_dict(changes)
        config.experiment_name = name
        config.val_dataloader = config.val_cfg = config.val_evaluator = None
        config.param_scheduler = []
        config.default_hooks.checkpoint.interval = iters
        config.default_hooks.pop('critic', None)
        runner, watch = Runner.from_cfg(config), Watch(states=False)
        runner.register_hook(CriticHook(interval=20, begin=21))
        runner.register_hook(watch)
        runner.train()
        return watch.faults

    def test_a_good_run_is_not_warned_of(self, tmp_path):
        assert self.run(tmp_path, 'good', 40) == []

    def test_a_rate_far_too_high_is(self, tmp_path):
        warned = self.run(tmp_path, 'rate', 40, **{'optim_wrapper.disc.optimizer.lr': 1.0})
        assert warned and "the critic's slopes are off by" in warned[0]

    def test_a_critic_without_a_penalty_is(self, tmp_path):
        changes = {'optim_wrapper.disc.optimizer.lr': 0.03, 'model.loss_gp.loss_weight': 0.0}
        warned = self.run(tmp_path, 'penalty', 60, **changes)
        assert warned and 'the adversarial term is' in warned[0]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
def test_nothing_waits_for_the_device(tmp_path):
    """Between reads the hook calls nothing that waits; MMEngine's own log does, so the hook is called by itself."""
    model = ToyInpaintor().cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    wrapper = OptimWrapper(optimizer)
    runner = SimpleNamespace(model=model, optim_wrapper=wrapper, iter=0, hooks=[], work_dir=str(tmp_path))
    hook = FiniteHook(lag=3)
    hook.before_train(runner)
    inputs = torch.rand(4, 3, 4, 4, device='cuda')
    optimizer.zero_grad()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        for runner.iter in range(3):
            hook.before_train_iter(runner, runner.iter)
            loss = model.generator(inputs).square().mean()
            wrapper.update_params(loss)
            hook.after_train_iter(
                runner, runner.iter, None, dict(loss=loss.detach() * (math.nan if runner.iter else 1))
            )
    finally:
        torch.cuda.set_sync_debug_mode('default')
    runner.iter = 3
    hook.before_train_iter(runner, 3)
    runner.iter = 4
    with pytest.raises(NonFiniteError, match='Iteration 2: '):
        hook.before_train_iter(runner, 4)

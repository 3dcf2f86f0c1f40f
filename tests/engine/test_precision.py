"""Lower precision, another memory layout and compiled parts change nothing but rounding."""

import pytest
import torch
from conftest import ROOT, tiny, without_vgg_weights
from mmengine.config import Config
from mmengine.runner import Runner

STEPS = 4


def train(name, work_dir, change=lambda config: None):
    """The losses of each step, and the runner."""
    if name in ('stage1', 'stage2'):
        config = tiny(name, work_dir, STEPS)
    else:
        config = Config.fromfile(ROOT / f'configs/baselines/smoke/{name}.py')
        without_vgg_weights(config)
        config.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
        config.train_cfg.update(max_iters=STEPS)
        config.default_hooks.checkpoint.interval = STEPS
    config.train_cfg.pop('val_interval', None)
    config.default_hooks.pop('pictures', None)
    config.default_hooks.logger.interval = 1
    for key in ('val_dataloader', 'val_evaluator', 'val_cfg', 'test_dataloader', 'test_evaluator', 'test_cfg'):
        config.pop(key, None)
    change(config)
    config.work_dir = str(work_dir)
    config.experiment_name = f'{name}_{work_dir.name}'
    runner = Runner.from_cfg(config)
    runner.train()
    scalars = runner.message_hub.log_scalars
    losses = {key: scalars[key].data[0] for key in scalars if 'loss' in key or 'critic' in key}
    return {key: torch.tensor(values.tolist()) for key, values in losses.items()}, runner


def wrappers(config):
    wrapper = config.optim_wrapper
    return [wrapper] if 'optimizer' in wrapper else [part for part in wrapper.values() if isinstance(part, dict)]


def in_bfloat16(config):
    for wrapper in wrappers(config):
        wrapper.update(type='CPUAmpOptimWrapper', dtype='bfloat16', even_if_slow=True)


def with_hook(**hook):
    def change(config):
        config.custom_hooks = [*config.get('custom_hooks', []), hook]

    return change


def distance(losses, others):
    assert losses.keys() == others.keys() and losses
    return max(((losses[key] - others[key]).abs() / losses[key].abs().clamp(min=0.3)).max() for key in losses)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['stage1', 'stage2', 'dfnet', 'lbam', 'lama'])
def test_bfloat16_trains_as_float32_does_but_for_rounding(name, tmp_path):
    exact, _ = train(name, tmp_path / 'float32')
    rounded, runner = train(name, tmp_path / 'bfloat16', in_bfloat16)
    assert 0 < distance(exact, rounded) < 0.15
    # the weights, and what the optimiser remembers, stay in float32
    state = runner.model.state_dict()
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float32}


@pytest.mark.parametrize('name', ['stage1', 'stage2'])
def test_channels_last_is_one_key_and_changes_nothing(name, tmp_path):
    exact, _ = train(name, tmp_path / 'contiguous')
    other, runner = train(name, tmp_path / 'channels_last', with_hook(type='ChannelsLastHook'))
    assert distance(exact, other) < 1e-3
    kernels = [weight for weight in runner.model.parameters() if weight.dim() == 4 and weight[0, 0].numel() > 1]
    assert all(weight.is_contiguous(memory_format=torch.channels_last) for weight in kernels)


@pytest.mark.slow
@pytest.mark.parametrize('name, part', [('stage1', 'backbone'), ('stage2', 'generator')])
def test_compiled_parts_are_one_key_and_change_nothing(name, part, tmp_path):
    exact, _ = train(name, tmp_path / 'eager')
    # tracing alone: what the code generator makes of the graph is torch's business
    hook = with_hook(type='CompileHook', parts=[part], options=dict(backend='eager'))
    compiled, runner = train(name, tmp_path / 'compiled', hook)
    assert distance(exact, compiled) < 1e-3
    assert not any('_orig_mod' in key for key in runner.model.state_dict())


def test_a_part_that_is_not_there_cannot_be_compiled(tmp_path):
    with pytest.raises(ValueError, match="CAINetInpaintor has no part 'generater'; the nearest names are generator"):
        train('stage2', tmp_path, with_hook(type='CompileHook', parts=['generater']))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA device')
@pytest.mark.parametrize('name', ['stage1', 'stage2'])
@pytest.mark.parametrize('dtype', ['float16', 'bfloat16'])
def test_cuda_trains_in_half_precision_with_loss_scaling_as_in_float32(name, dtype, tmp_path):
    def in_half(config):
        for wrapper in wrappers(config):
            wrapper.update(
                type='AmpOptimWrapper', dtype=dtype, loss_scale='dynamic' if dtype == 'float16' else dict(enabled=False)
            )

    exact, _ = train(name, tmp_path / 'float32')
    rounded, _ = train(name, tmp_path / dtype, in_half)
    assert 0 < distance(exact, rounded) < 0.15

"""How the tools read their arguments: what reaches the runner, and what bad input is told."""

import errno
import io
import json
import os
import signal
import stat
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, load_tool
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from torch.utils.data import DataLoader, Dataset

from cainet_mm.datasets.sample_photos import square_crops
from cainet_mm.engine.training_lock import LOCK
from cainet_mm.models import CAINetDecoder

TOOLS = ROOT / 'tools'

CONFIG = """
default_scope = 'mmagic'
model = dict(type='SomeModel', width=8)
train_dataloader = dict(batch_size=4)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=10)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam', lr=0.1), accumulative_counts=2)
test_dataloader = dict(batch_size=1)
test_evaluator = [dict(type='PSNR')]
"""


class PlainModel(BaseModel):
    def forward(self, inputs, data_samples=None, mode='tensor'):
        return inputs


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a config and a checkpoint file in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    (tmp_path / 'config.py').write_text(CONFIG)
    (tmp_path / 'weights.pth').write_bytes(b'')
    return tmp_path


@pytest.fixture
def run_tool(folder, monkeypatch):
    """Runs a tool up to where it would build the runner, and returns the config that the runner would get."""

    def run(name, *arguments):
        built = []

        class NoRunner:
            model = PlainModel()
            hooks = ()
            test_loop = None

            def train(self):
                pass

            test = train

        def build_runner(command, config):
            built.append(config)
            return NoRunner()

        tool = load_tool(name, monkeypatch)
        monkeypatch.setattr('signal.signal', lambda number, handler: None)
        monkeypatch.setattr(tool, 'build_runner', build_runner)
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *arguments])
        tool.main()
        (config,) = built
        return config

    return run


@pytest.fixture
def refusal(run_tool, capsys):
    """Runs a tool that must refuse, and returns the one sentence that it says."""

    def run(name, *arguments):
        with pytest.raises(SystemExit) as stopped:
            run_tool(name, *arguments)
        assert stopped.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f'{name}.py: error: ')
        return line

    return run


class TestBadInput:
    @pytest.mark.parametrize(('name', 'more'), [('train', []), ('test', ['weights.pth'])])
    def test_an_absent_config(self, refusal, name, more):
        assert 'absent.py' in refusal(name, 'absent.py', *more)

    @pytest.mark.parametrize(('name', 'more'), [('train', []), ('test', ['weights.pth'])])
    def test_a_config_of_another_kind(self, refusal, name, more):
        line = refusal(name, 'weights.pth', *more)
        assert 'weights.pth' in line
        assert '.py, .yaml' in line

    @pytest.mark.parametrize(('name', 'more'), [('train', []), ('test', ['weights.pth'])])
    def test_a_config_whose_base_is_absent(self, refusal, folder, name, more):
        (folder / 'child.py').write_text("_base_ = 'parent.py'\n")
        line = refusal(name, 'child.py', *more)
        assert 'child.py' in line
        assert 'parent.py' in line

    @pytest.mark.parametrize(('name', 'more'), [('train', []), ('test', ['weights.pth'])])
    def test_a_base_of_the_package_without_its_folder(self, refusal, folder, name, more):
        (folder / 'child.py').write_text("_base_ = 'cainet_mm::stage1.py'\n")
        assert 'config child.py cannot be read' in refusal(name, 'child.py', *more)

    @pytest.mark.parametrize('option', ['max_iters', 'model.width.depth=3', 'test_evaluator.5.type=SSIM'])
    def test_options_that_do_not_fit(self, refusal, option):
        assert '--cfg-options' in refusal('train', 'config.py', '--cfg-options', option)

    def test_an_absent_checkpoint(self, refusal):
        assert 'checkpoint absent.pth' in refusal('test', 'config.py', 'absent.pth')

    def test_an_absent_file_to_resume_from(self, refusal):
        assert '--resume absent.pth' in refusal('train', 'config.py', '--resume', 'absent.pth')

    def test_metrics_in_an_unknown_format(self, refusal):
        line = refusal('test', 'config.py', 'weights.pth', '--out', 'metrics.csv')
        assert 'metrics.csv' in line
        assert '.json' in line

    def test_training_a_config_without_training(self, refusal, folder):
        (folder / 'config.py').write_text('train_dataloader = None\n')
        assert 'train_dataloader' in refusal('train', 'config.py')

    def test_testing_a_config_without_test(self, refusal, folder):
        (folder / 'config.py').write_text('test_evaluator = dict()\n')
        assert 'test_dataloader' in refusal('test', 'config.py', 'weights.pth')

    def test_mixed_precision_of_an_unknown_wrapper(self, refusal):
        line = refusal('train', 'config.py', '--amp', '--cfg-options', 'optim_wrapper.type=ApexOptimWrapper')
        assert 'ApexOptimWrapper' in line

    def test_mixed_precision_without_an_optimizer(self, refusal, folder):
        (folder / 'config.py').write_text(f'{CONFIG}\noptim_wrapper = None\n')
        assert '--amp found no optimizer' in refusal('train', 'config.py', '--amp')

    def test_scaling_without_a_base_batch_size(self, refusal):
        assert 'base_batch_size' in refusal('train', 'config.py', '--auto-scale-lr')

    @pytest.mark.parametrize('name', ['train', 'test'])
    def test_the_real_command_answers_from_any_directory_without_a_traceback(self, folder, name):
        command = [sys.executable, TOOLS / f'{name}.py', 'absent.py', 'weights.pth'][: 3 if name == 'train' else 4]
        run = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        assert run.returncode == 2
        assert run.stderr.count('\n') == 1
        assert 'absent.py is not a file' in run.stderr


def test_names_that_are_no_text_are_printed(monkeypatch):
    """Those of old archives have bytes that are no UTF-8."""
    monkeypatch.syspath_prepend(TOOLS)
    from _command import Tool

    content = io.BytesIO()
    monkeypatch.setattr(sys, 'stdout', io.TextIOWrapper(content, 'utf-8', errors='strict'))
    Tool().parse_args([])
    print(os.fsdecode(b'caf\xe9.txt'), flush=True)
    assert content.getvalue() == b'caf\\udce9.txt\n'


class TestWhatReachesTheRunner:
    def test_options_replace_values_of_the_config(self, run_tool):
        config = run_tool('train', 'config.py', '--cfg-options', 'train_cfg.max_iters=3', 'model.width=16')
        assert (config.train_cfg.max_iters, config.model.width, config.train_dataloader.batch_size) == (3, 16, 4)

    @pytest.mark.parametrize(('name', 'more'), [('train', []), ('test', ['weights.pth'])])
    def test_the_work_directory_comes_from_the_option_the_config_or_its_name(self, run_tool, folder, name, more):
        assert run_tool(name, 'config.py', *more).work_dir == 'work_dirs/config'
        (folder / 'config.py').write_text(CONFIG + "work_dir = 'of_config'\n")
        assert run_tool(name, 'config.py', *more).work_dir == 'of_config'
        assert run_tool(name, 'config.py', *more, '--work-dir', 'of_option').work_dir == 'of_option'

    @pytest.mark.parametrize(('name', 'more'), [('train', []), ('test', ['weights.pth'])])
    def test_the_launcher(self, run_tool, name, more):
        assert run_tool(name, 'config.py', *more).launcher == 'none'
        assert run_tool(name, 'config.py', *more, '--launcher', 'slurm').launcher == 'slurm'

    @pytest.mark.parametrize('option', ['--local_rank=3', '--local-rank=3'])
    def test_the_rank_is_handed_on_unless_the_launcher_has_set_it(self, run_tool, monkeypatch, option):
        run_tool('train', 'config.py', option)
        assert os.environ['LOCAL_RANK'] == '0'
        monkeypatch.delenv('LOCAL_RANK')
        run_tool('train', 'config.py', option)
        assert os.environ['LOCAL_RANK'] == '3'

    def test_no_resuming_by_default(self, run_tool):
        config = run_tool('train', 'config.py')
        assert not config.get('resume')
        assert config.get('load_from') is None

    def test_resuming_from_the_latest_ignores_the_initial_weights_if_there_is_one(self, run_tool, folder):
        (folder / 'config.py').write_text(CONFIG + "load_from = 'initial.pth'\n")
        config = run_tool('train', 'config.py', '--resume')
        assert (config.get('resume', False), config.load_from) == (False, 'initial.pth')
        (folder / 'work_dirs/config').mkdir(parents=True)
        (folder / 'work_dirs/config/iter_1.pth').touch()
        config = run_tool('train', 'config.py', '--resume')
        assert (config.resume, config.load_from) == (True, None)

    def test_resuming_from_a_file(self, run_tool):
        config = run_tool('train', 'config.py', '--resume', 'weights.pth')
        assert (config.resume, config.load_from) == (True, 'weights.pth')

    def test_scaling_the_learning_rate(self, run_tool, folder):
        (folder / 'config.py').write_text(CONFIG + 'auto_scale_lr = dict(enable=False, base_batch_size=16)\n')
        config = run_tool('train', 'config.py', '--auto-scale-lr')
        assert config.auto_scale_lr == dict(enable=True, base_batch_size=16)

    def test_a_config_of_the_package_is_found_from_anywhere(self, run_tool, refusal):
        config = run_tool('train', 'cainet_mm::quickstart/stage1.py')
        assert config.filename == str(ROOT / 'configs' / 'quickstart' / 'stage1.py')
        assert (config.model.type, config.work_dir) == ('SiameseMoCo', 'work_dirs/stage1')
        assert 'configs/no/such.py is not a file' in refusal('train', 'cainet_mm::no/such.py')

    @pytest.mark.parametrize('checkpoint', ['weights.pth', 'https://example.org/weights.pth'])
    def test_the_checkpoint_to_test(self, run_tool, folder, checkpoint):
        (folder / 'config.py').write_text(CONFIG + "load_from = 'initial.pth'\nresume = True\n")
        config = run_tool('test', 'config.py', checkpoint)
        assert (config.load_from, config.resume) == (checkpoint, False)


class TestMixedPrecision:
    def convert(self, monkeypatch, on_cuda, dtype=None, **optim_wrapper):
        config = ConfigDict(optim_wrapper)
        load_tool('train', monkeypatch).use_mixed_precision(config, on_cuda, dtype)
        return config

    def test_a_single_wrapper_keeps_its_settings(self, run_tool, monkeypatch):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
        assert run_tool('train', 'config.py', '--amp').optim_wrapper == dict(
            type='CPUAmpOptimWrapper', dtype='bfloat16', optimizer=dict(type='Adam', lr=0.1), accumulative_counts=2
        )

    @pytest.mark.parametrize(
        ('on_cuda', 'expected'),
        [
            (True, dict(type='AmpOptimWrapper', loss_scale='dynamic')),
            (False, dict(type='CPUAmpOptimWrapper', dtype='bfloat16')),
        ],
    )
    def test_every_one_of_several_wrappers_is_converted(self, monkeypatch, on_cuda, expected):
        adam = dict(type='Adam', lr=1e-4)
        config = self.convert(
            monkeypatch,
            on_cuda,
            constructor='MultiOptimWrapperConstructor',
            generator=dict(type='OptimWrapper', optimizer=adam),
            disc=dict(optimizer=adam, clip_grad=dict(max_norm=1)),
        )
        assert config == dict(
            constructor='MultiOptimWrapperConstructor',
            generator=dict(**expected, optimizer=adam),
            disc=dict(**expected, optimizer=adam, clip_grad=dict(max_norm=1)),
        )

    def test_a_wrapper_that_is_mixed_already_keeps_its_scale(self, monkeypatch):
        wrapper = dict(type='AmpOptimWrapper', loss_scale=512.0, optimizer=dict(type='Adam'))
        assert self.convert(monkeypatch, True, **wrapper) == wrapper
        assert 'loss_scale' not in self.convert(monkeypatch, False, **wrapper)

    @pytest.mark.parametrize('kind', [OptimWrapper, AmpOptimWrapper])
    def test_the_type_may_be_the_class(self, monkeypatch, kind):
        assert self.convert(monkeypatch, True, type=kind, optimizer=dict(type='Adam')).type == 'AmpOptimWrapper'
        if kind is AmpOptimWrapper:
            with pytest.raises(ValueError, match='AmpOptimWrapper, which needs an accelerator'):
                load_tool('train', monkeypatch).refuse_what_needs_cuda(ConfigDict(type=kind, optimizer=dict()))

    def test_the_type_may_be_named_and_bfloat16_is_not_scaled(self, run_tool, refusal, monkeypatch):
        wrapper = dict(type='OptimWrapper', optimizer=dict(type='Adam'))
        for dtype, loss_scale in (('float16', 'dynamic'), ('bfloat16', dict(enabled=False))):
            converted = self.convert(monkeypatch, True, dtype, **wrapper)
            assert converted == wrapper | dict(type='AmpOptimWrapper', dtype=dtype, loss_scale=loss_scale)
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
        assert run_tool('train', 'config.py', '--amp-dtype', 'bfloat16').optim_wrapper.type == 'CPUAmpOptimWrapper'
        assert 'float16 needs a CUDA device' in refusal('train', 'config.py', '--amp-dtype', 'float16')

    def test_a_slow_processor_is_told_to_go_on_by_a_flag(self, run_tool, monkeypatch):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
        wrapper = run_tool('train', 'config.py', '--amp-anyway').optim_wrapper
        assert (wrapper.type, wrapper.even_if_slow) == ('CPUAmpOptimWrapper', True)

    @pytest.mark.skipif(get_device() != 'cpu', reason='there is an accelerator')
    def test_a_wrapper_for_gpus_in_the_config_is_refused_without_one(self, refusal):
        said = refusal('train', 'config.py', '--cfg-options', 'optim_wrapper.type=AmpOptimWrapper')
        assert 'AmpOptimWrapper, which needs an accelerator' in said and '--amp' in said

    def test_a_model_that_leaves_the_wrapper_s_context_out_is_named(self, monkeypatch):
        class OwnSteps:
            def train_step(self, data, optim_wrapper):
                optim_wrapper.update_params(0)

        said = []
        tool = load_tool('train', monkeypatch)
        for model in (OwnSteps(), PlainModel()):
            tool.warn_of_ignored_precision(SimpleNamespace(model=model, logger=SimpleNamespace(warning=said.append)))
        assert len(said) == 1 and 'train_step of OwnSteps' in said[0]

    def test_a_config_without_optimizer_is_refused(self, monkeypatch):
        with pytest.raises(ValueError, match='optimizer'):
            self.convert(monkeypatch, True, constructor='MultiOptimWrapperConstructor')


def test_a_second_training_is_refused_before_it_writes_anything(run_tool, folder, capsys, train_elsewhere):
    work_dir = folder / 'run'
    work_dir.mkdir()
    process = train_elsewhere(work_dir / LOCK).pid
    with pytest.raises(SystemExit) as stopped:
        run_tool('train', 'config.py', '--work-dir', 'run', '--resume')
    said = capsys.readouterr().err
    assert stopped.value.code == 1 and said.count('\n') == 1
    assert f'Process {process} on node7 trains in run since 2026-11-28 03:00:00' in said
    assert [path.name for path in work_dir.iterdir()] == [LOCK]


class TestSeveralProcessesWithoutAccelerator:
    @pytest.fixture
    def command(self, folder, monkeypatch):
        tool = load_tool('_command', monkeypatch)
        monkeypatch.setattr('mmengine.device.get_device', lambda: 'cpu')
        monkeypatch.setattr(sys, 'argv', ['train.py'])
        return tool, tool.Command('')

    @pytest.mark.parametrize(('launcher', 'said'), [('slurm', 'GPU'), ('mpi', 'GPU'), ('pytorch', 'torchrun')])
    def test_what_cannot_work_is_refused(self, command, monkeypatch, capsys, launcher, said):
        monkeypatch.delenv('RANK', raising=False)
        tool, parser = command
        with pytest.raises(SystemExit) as stopped:
            tool.run_without_accelerator(parser, Config(dict(launcher=launcher)))
        assert stopped.value.code == 2
        assert said in capsys.readouterr().err

    @pytest.mark.parametrize('wrapper', [None, dict(type='MMSeparateDistributedDataParallel')])
    def test_the_model_wrapper_gets_no_gpu_number(self, command, monkeypatch, wrapper):
        started = []
        monkeypatch.setenv('RANK', '0')
        monkeypatch.setattr('torch.distributed.init_process_group', started.append)
        config = Config(dict(launcher='pytorch') | (dict(model_wrapper_cfg=wrapper) if wrapper else {}))
        tool, parser = command
        tool.run_without_accelerator(parser, config)
        assert started == ['gloo']
        assert config.model_wrapper_cfg.device_ids is None
        assert config.model_wrapper_cfg.type == (wrapper or dict(type='MMDistributedDataParallel'))['type']


def test_a_full_disk_is_a_sentence(folder, monkeypatch, capsys):
    class OnFullDisk:
        hooks = ()

        def train(self):
            raise OSError(errno.ENOSPC, 'No space left on device', 'scalars.json')

    tool = load_tool('train', monkeypatch)
    monkeypatch.setattr('signal.signal', lambda number, handler: None)
    monkeypatch.setattr(tool, 'build_runner', lambda command, config: OnFullDisk())
    monkeypatch.setattr(sys, 'argv', ['train.py', 'config.py'])
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    assert stopped.value.code == 1
    assert 'scalars.json could not be written (No space left on device). Make room' in capsys.readouterr().err


@pytest.mark.parametrize(('name', 'more'), [('train', []), ('test', ['weights.pth'])])
def test_what_the_package_refuses_is_a_sentence_and_other_errors_keep_their_traceback(
    folder, monkeypatch, capsys, name, more
):
    tool = load_tool(name, monkeypatch)
    monkeypatch.setattr('signal.signal', lambda number, handler: None)
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', 'config.py', *more])
    monkeypatch.setattr(tool, 'build_runner', lambda command, config: CAINetDecoder((4, 8), kernel_size=2))
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err == f'{name}.py: error: CAINetDecoder takes an odd kernel_size, got 2.\n'
    # a slip, though within the package
    monkeypatch.setattr(tool, 'build_runner', lambda command, config: square_crops(np.zeros(4), 2, 1))
    with pytest.raises(ValueError, match='not enough values to unpack'):
        tool.main()


class Deadly(Dataset):
    """Kills the worker that prepares its third sample."""

    def __len__(self):
        return 5

    def get_data_info(self, index):
        return dict(gt_path=f'{index}.png')

    def prepare_data(self, index):
        if index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return index

    def __getitem__(self, index):
        return self.prepare_data(index)


def test_a_worker_that_dies_while_testing_is_a_sentence(folder, monkeypatch, capsys):
    class Testing:
        test_loop = SimpleNamespace(dataloader=DataLoader(Deadly(), num_workers=1))

        def test(self):
            list(self.test_loop.dataloader)

    tool = load_tool('test', monkeypatch)
    monkeypatch.setattr(tool, 'build_runner', lambda command, config: Testing())
    monkeypatch.setattr(sys, 'argv', ['test.py', 'config.py', 'weights.pth'])
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    assert stopped.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith('test.py: stopped: DataLoader worker')
    assert 'Sample 2, 2.png, was being prepared' in line


def test_metrics_are_written_as_numbers(folder, monkeypatch):
    hook = load_tool('test', monkeypatch).write_metrics_to(str(folder / 'new' / 'metrics.json'))
    hook.after_test_epoch(None, {'PSNR': torch.tensor(20.5), 'SSIM': np.float32(0.5), 'MAE': 0.25})
    assert json.loads((folder / 'new' / 'metrics.json').read_text()) == {'PSNR': 20.5, 'SSIM': 0.5, 'MAE': 0.25}


class TestLaunchers:
    """The shell scripts, with the program that they start replaced by one that prints its arguments."""

    @pytest.fixture
    def run_script(self, tmp_path):
        for name in ('srun', 'some-python'):
            program = tmp_path / name
            program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

        def run(name, *arguments, **variables):
            path = os.pathsep.join([str(tmp_path), os.environ['PATH']])
            known = {key: value for key, value in os.environ.items() if key not in ('GPUS', 'PORT', 'NNODES')}
            return subprocess.run(
                ['bash', TOOLS / name, *arguments],
                cwd=tmp_path,
                env={**known, 'PATH': path, 'PYTHON': 'some-python', **variables},
                capture_output=True,
                text=True,
            )

        return run

    @pytest.mark.parametrize('name', ['dist_train.sh', 'dist_test.sh', 'slurm_train.sh', 'slurm_test.sh'])
    def test_too_few_arguments_get_the_usage(self, run_script, name):
        run = run_script(name, 'config.py')
        assert run.returncode == 2
        assert run.stderr.startswith(f'Usage: bash tools/{name} ')

    def test_dist_train(self, run_script):
        run = run_script('dist_train.sh', 'my config.py', '2', '--amp', NNODES='3', NODE_RANK='1', PORT='29600')
        arguments = run.stdout.splitlines()
        assert arguments[0].endswith('_torchrun.py')
        assert {'--nnodes=3', '--node_rank=1', '--nproc_per_node=2', '--master_port=29600'} <= set(arguments)
        assert arguments[-5:] == [str(TOOLS / 'train.py'), 'my config.py', '--launcher', 'pytorch', '--amp']

    def test_dist_test(self, run_script):
        arguments = run_script('dist_test.sh', 'config.py', 'weights.pth', '4').stdout.splitlines()
        assert {'--nnodes=1', '--node_rank=0', '--nproc_per_node=4', '--master_addr=127.0.0.1'} <= set(arguments)
        assert arguments[-5:] == [str(TOOLS / 'test.py'), 'config.py', 'weights.pth', '--launcher', 'pytorch']

    def test_slurm_train(self, run_script):
        arguments = run_script(
            'slurm_train.sh', 'part', 'job', 'config.py', 'out dir', '--amp', GPUS='4', SRUN_ARGS='-x a -t 9'
        ).stdout.splitlines()
        assert arguments[:2] == ['--partition=part', '--job-name=job']
        assert {'--gres=gpu:4', '--ntasks=4', '--ntasks-per-node=4'} <= set(arguments)
        assert arguments[arguments.index('-x') :] == [
            *('-x', 'a', '-t', '9', 'some-python', '-u', str(TOOLS / 'train.py'), 'config.py'),
            *('--work-dir', 'out dir', '--launcher', 'slurm', '--amp'),
        ]

    def test_slurm_test(self, run_script):
        arguments = run_script(
            'slurm_test.sh', 'part', 'job', 'config.py', 'weights.pth', GPUS='16', CPUS_PER_TASK='2'
        ).stdout.splitlines()
        assert {'--gres=gpu:8', '--ntasks=16', '--ntasks-per-node=8', '--cpus-per-task=2'} <= set(arguments)
        assert arguments[-5:] == [str(TOOLS / 'test.py'), 'config.py', 'weights.pth', '--launcher', 'slurm']


class TestSetup:
    def run(self, tmp_path, **variables):
        return subprocess.run(
            ['bash', TOOLS / 'setup_env.sh'],
            cwd=tmp_path,
            env={**os.environ, 'VENV': str(tmp_path / 'venv'), **variables},
            capture_output=True,
            text=True,
        )

    def test_an_old_python_gets_a_sentence(self, tmp_path):
        old = tmp_path / 'python3.8'
        old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.8.20" && exit\nexit 1\n')
        old.chmod(0o755)
        run = self.run(tmp_path, PYTHON=str(old))
        assert run.returncode == 1
        assert 'Python 3.8.20, but 3.10 or later is accepted' in run.stderr
        assert not (tmp_path / 'venv').exists()

    @pytest.mark.parametrize(('variable', 'said'), [('PYTHON', 'was not found'), ('CONSTRAINTS', 'is not a file')])
    def test_what_is_absent_gets_a_sentence(self, tmp_path, variable, said):
        run = self.run(tmp_path, **{variable: 'absent'})
        assert run.returncode == 1
        (line,) = run.stderr.splitlines()
        assert 'absent' in line
        assert said in line

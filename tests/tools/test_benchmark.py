"""tools/benchmark.py: its reference computes the same objective, its rows hold what was timed."""

import json
import os
import re
import subprocess
import sys

import pytest
import torch
from conftest import ROOT, tiny
from mmengine.optim import OptimWrapper, OptimWrapperDict

sys.path.insert(0, str(ROOT / 'tools'))

import _benchmarks  # noqa: E402
import benchmark  # noqa: E402


@pytest.fixture
def bench():
    return _benchmarks.Bench('cpu', 32, 2, 3)


def test_the_naive_step_updates_to_the_same_weights(bench, monkeypatch):
    """With the same random numbers, plain gradient descent and the same random VGG-16."""
    config = _benchmarks.stage2_config(bench)
    model = bench.build(config, 'eager').train()
    naive = _benchmarks.NaiveStep(bench, config)
    monkeypatch.setattr(naive, 'vgg', model.losses['texture'].loss._network[0])
    optimizers = {name: torch.optim.SGD(getattr(model, name).parameters(), 1e-2) for name in ('generator', 'disc')}
    naive.optimizers = [torch.optim.SGD(getattr(naive.model, name).parameters(), 1e-2) for name in optimizers]
    start = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    torch.manual_seed(1)
    model.train_step(bench.images(), OptimWrapperDict(**{n: OptimWrapper(o) for n, o in optimizers.items()}))
    torch.manual_seed(1)
    naive()
    theirs = dict(naive.model.named_parameters())
    for name, weight in model.named_parameters():
        moved = (weight - start[name]).abs().max()
        torch.testing.assert_close(weight, theirs[name], rtol=1e-5, atol=1e-2 * moved.item() + 1e-7)
    assert not torch.equal(start['disc.score.weight'], dict(model.named_parameters())['disc.score.weight'])


def test_a_row_has_the_median_and_the_ratio_round_by_round():
    reference = dict(reference='naive', reference_seconds=[4.0, 4.0, 4.0])
    told = _benchmarks.as_row('step', 'eager', 'image', 4, [2.0, 1.0, 3.0], **reference)
    assert told['milliseconds'] == 2000 and told['per_second'] == 2
    assert told['ratio'] == 0.5 and told['ratio_range'] == [0.25, 0.75]


def test_the_command_writes_both_files(tmp_path, capsys, monkeypatch):
    thin = tiny('stage2', tmp_path).model
    monkeypatch.setattr(_benchmarks, 'stage2_config', lambda bench, **changes: thin)
    arguments = '--cases step stage1 loader fill --size 32 --batch 2 --rounds 1 --megapixels 0.05 --modes channels-last'
    benchmark.main([str(tmp_path), *arguments.split()])
    rows = json.loads((tmp_path / 'benchmark.json').read_text())['rows']
    assert [row['name'] for row in rows] == [
        'stage-2 step',
        'stage-1 step',
        'loading of training images, one process',
        'fill of a photograph of 0.05 megapixels',
    ]
    assert all(row['milliseconds'] > 0 for row in rows)
    table = (tmp_path / 'benchmark.md').read_text()
    assert 'naive, float32' in table and 'Telea' in table and table in capsys.readouterr().out


@pytest.mark.slow
def test_exported_networks_are_measured(bench, tmp_path, monkeypatch):
    pytest.importorskip('onnxruntime')
    thin = tiny('stage2', tmp_path).model
    monkeypatch.setattr(_benchmarks, 'stage2_config', lambda bench: thin)
    monkeypatch.setattr(_benchmarks, 'dfnet_config', lambda: thin)
    monkeypatch.setattr(_benchmarks, 'load_model', lambda name: bench.build(thin, 'eager').eval())
    _benchmarks.bench_onnx(bench)
    networks = ('CAINet', 'DFNet', 'cainet-photos')
    assert [row['name'] for row in bench.rows] == [f'{name} in ONNX Runtime' for name in networks]
    assert all(row['ratio'] > 0 and row['reference'] == 'PyTorch' for row in bench.rows)


@pytest.mark.parametrize(
    'given, said', [('--rounds 0', '--rounds takes a number from 1 up'), ('--modes fast', "--modes takes 'eager'")]
)
def test_bad_arguments(given, said, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        benchmark.main([str(tmp_path), *given.split()])
    assert ended.value.code == 2 and said in capsys.readouterr().err


class TestGPUCheck:
    """tools/gpu_check.sh with an interpreter that only notes what it is asked for."""

    def run(self, tmp_path, *arguments, **environment):
        python = tmp_path / 'python'
        python.write_text('#!/bin/sh\necho "$@"\ncase "$*" in *"-m pytest"*) echo broken; exit 3;; esac\n')
        python.chmod(0o755)
        return subprocess.run(
            ['bash', str(ROOT / 'tools/gpu_check.sh'), *map(str, arguments)],
            env={**os.environ, 'PYTHON': str(python), **environment},
            capture_output=True,
            text=True,
        )

    def test_everything_is_tried_in_its_order_whatever_fails(self, tmp_path):
        out = tmp_path / 'out'
        ended = self.run(tmp_path, out, 5, tmp_path)
        told = dict(line.split(', ', 1) for line in (out / 'summary.txt').read_text().splitlines())
        steps = [f'stage{stage}_{name}' for name in ('float32', 'float16', 'bfloat16') for stage in (1, 2)]
        assert list(told) == ['machine', 'import', *steps, 'tests', 'benchmark', 'training']
        assert 'FAILED: broken' in told['tests'] and told['training'].endswith('passed') and ended.returncode == 1
        assert '--amp --amp-dtype bfloat16' in (out / 'stage2_bfloat16.log').read_text()
        # a minute is kept for starting and validating
        assert re.search(r'--minutes [34]$', (out / 'training.log').read_text().strip())

    def test_no_time_left(self, tmp_path):
        out = tmp_path / 'out'
        assert self.run(tmp_path, out, 0, DEVICE='cpu').returncode == 0
        assert 'benchmark, 0 s: not begun, no time left' in (out / 'summary.txt').read_text()

    def test_bad_arguments(self, tmp_path):
        ended = self.run(tmp_path, tmp_path / 'out', 'ten')
        assert ended.returncode == 2 and 'takes OUT MINUTES' in ended.stderr

"""Measures what training and filling cost, as ratios to a reference in the same process.

    python tools/benchmark.py OUT_DIR [--cases step fill] [--modes eager channels-last] [--device cuda]

Cases: generator (a forward pass, compared with DFNet's), parts (of a training step), step (of stage 2, compared with a
plain implementation of the same objective), lazy (the same with the penalty in every fourth step), stage1 (compared
with the encoder alone), loader (images a second), fill (a photograph of 12 megapixels, compared with Telea's method),
onnx (CAINet, DFNet and the shipped network in ONNX Runtime, compared with PyTorch), sweep (how a step's cost grows with
batch, size, scales and queue). Other networks than the shipped one are the paper's, with random weights.

OUT_DIR receives benchmark.md and benchmark.json. Run it on a machine that does nothing else: ours and the reference are
run in turns, so that a slow moment meets both, and the range of the ratio over the rounds says how quiet it was.
"""

import argparse
import datetime
import json
import platform
import shlex
import sys
from functools import partial
from pathlib import Path

from _command import Tool, import_package

CASES = ('generator', 'parts', 'step', 'lazy', 'stage1', 'loader', 'fill', 'onnx', 'sweep')


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('out_dir', type=Path)
    tool.add_argument('--cases', nargs='+', choices=CASES, default=CASES[:-2], help='default: all but the last two')
    tool.add_argument(
        '--modes',
        nargs='+',
        default=('eager', 'channels-last'),
        help="of 'eager', 'channels-last', 'half' (bfloat16 autocast; float16 on old GPUs) and "
        "'half, channels-last, compiled' (default: the first two)",
    )
    tool.add_argument('--device', default='cpu', choices=('cpu', 'cuda'))
    tool.add_argument('--size', type=int, default=256, help='side of the images (default: 256)')
    tool.add_argument('--batch', type=int, default=2, help='images in a batch (default: 2)')
    tool.add_argument('--rounds', type=int, default=7, help='how often each is timed (default: 7)')
    tool.add_argument('--megapixels', type=float, default=12, help='of the photograph that is filled (default: 12)')
    tool.add_argument('--vgg', help="file of VGG-16's weights (default: random ones, which take as long)")
    return tool


def machine():
    """What the numbers hold for."""
    import torch

    processor = platform.processor() or platform.machine()
    try:
        lines = Path('/proc/cpuinfo').read_text().splitlines()
        processor = next(line.partition(': ')[2] for line in lines if line.startswith('model name'))
    except (OSError, StopIteration):
        pass
    found = dict(
        processor=processor,
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        date=datetime.date.today().isoformat(),
        command=shlex.join(['python', 'tools/benchmark.py', *sys.argv[1:]]),
    )
    if torch.cuda.is_available():
        found['gpu'] = torch.cuda.get_device_name()
    return found


def as_table(rows, found):
    """The rows in Markdown."""
    lines = [
        f'{", ".join(f"{key}: {value}" for key, value in found.items() if key != "command")}',
        '',
        f'`{found["command"]}`',
        '',
        '| what | mode | ms | a second | peak MB | reference | its ms | its peak MB | time / reference |',
        '| --- | --- | ---: | ---: | ---: | --- | ---: | ---: | ---: |',
    ]
    for row in rows:
        ratio = ''
        if 'ratio' in row:
            low, high = row['ratio_range']
            ratio = f'{row["ratio"]:.2f} ({low:.2f} to {high:.2f})'
        cells = (
            row['name'],
            row['mode'],
            f'{row["milliseconds"]:,.1f}',
            f'{row["per_second"]:.3g} {row["unit"]}s',
            show(row['peak_mb']),
            row.get('reference', ''),
            f'{row["reference_milliseconds"]:,.1f}' if ratio else '',
            show(row.get('reference_peak_mb')),
            ratio,
        )
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def show(megabytes):
    return '' if megabytes is None else f'{megabytes:,.0f}'


def run_cases(args, bench, report):
    """Measures the cases, and reports after each."""
    import _benchmarks

    by_mode = dict(
        generator=_benchmarks.bench_generator,
        parts=_benchmarks.bench_parts,
        step=_benchmarks.bench_step,
        lazy=partial(_benchmarks.bench_step, interval=4),
        stage1=_benchmarks.bench_stage1,
        sweep=_benchmarks.sweep,
    )
    once = dict(
        loader=_benchmarks.bench_loader,
        fill=partial(_benchmarks.bench_fill, megapixels=args.megapixels),
        onnx=_benchmarks.bench_onnx,
    )
    for case in args.cases:
        for mode in args.modes if case in by_mode else ('',):
            print(f'benchmark.py: {case} {mode}'.rstrip(), flush=True)
            by_mode[case](bench, mode) if mode else once[case](bench)
            report()


def main(arguments=None):
    tool = make_tool()
    args = tool.parse_args(arguments)
    tool.require_file(args.vgg, '--vgg')
    if not args.megapixels > 0:
        tool.refuse(f'--megapixels takes a number above 0, got {args.megapixels}.')
    for name in ('size', 'batch', 'rounds'):
        if getattr(args, name) < 1:
            tool.refuse(f'--{name} takes a number from 1 up, got {getattr(args, name)}.')
    if args.size < 32:
        tool.refuse(f'--size takes 32 and more, for three scales of 8 pixels in the VGG-16 terms, got {args.size}.')
    import_package()
    import torch
    from _benchmarks import MODES, Bench
    from mmengine.registry import init_default_scope

    unknown = [mode for mode in args.modes if mode not in MODES]
    if unknown:
        tool.refuse(f'--modes takes {", ".join(map(repr, MODES))}, got {unknown[0]!r}.')
    if args.device == 'cuda' and not torch.cuda.is_available():
        tool.refuse('--device cuda: torch finds no GPU here; leave it out to measure on the CPU.')
    init_default_scope('mmagic')
    args.out_dir.mkdir(parents=True, exist_ok=True)
    bench, found = Bench(args.device, args.size, args.batch, args.rounds, args.vgg), machine()

    def report():
        (args.out_dir / 'benchmark.json').write_text(json.dumps(dict(machine=found, rows=bench.rows), indent=2) + '\n')
        (args.out_dir / 'benchmark.md').write_text(as_table(bench.rows, found))

    run_cases(args, bench, report)
    print((args.out_dir / 'benchmark.md').read_text())


if __name__ == '__main__':
    main()

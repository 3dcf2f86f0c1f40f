"""Fills holes in photographs: python tools/inpaint.py PHOTO [MASK] -o OUT

    python tools/inpaint.py photo.jpg mask.png -o filled.png
    python tools/inpaint.py photo.jpg mask.png -o filled.png --model lama
    python tools/inpaint.py photo.jpg mask.png -o filled.png --checkpoint PUBLISHED
    python tools/inpaint.py photo.jpg mask.png -o filled.png --checkpoint photos.onnx
    python tools/inpaint.py photos/ masks/ -o filled/ --config configs/baselines/telea.py
    python tools/inpaint.py erased.png -o filled.png --config CONFIG --checkpoint CHECKPOINT

PHOTO is a photograph of any size, or a folder of them. MASK is an image of the photograph's size whose bright pixels
are the hole (--hole-value and --invert for others); for a folder, one mask for all, or a folder, which may be the same,
with masks named as the photographs or after them: a_mask.png, and several as a_mask001.png, a_mask002.png. A mask of
another size than its photograph is an error; --fit-mask scales it, so that one mask of a watermark does for a folder.
Without MASK the hole is the transparent part of an RGBA photograph; in a folder, a mask beside a photograph goes
first. Known pixels, EXIF data and the colour profile are kept. In a folder, results of JPEGs are PNGs, since a JPEG
changes every pixel when it is written again.

Where no network is named, the one for photographs that comes with the package fills. --model names another one;
--checkpoint and --config are for those without a name. A file of tools/export.py, name.onnx, is run by ONNX Runtime,
and fills the same.

The exit status is 0 when every photograph has its result, 1 when some have none, 2 when the arguments do not fit. On
Ctrl-C (130) and SIGTERM (143) it says what has been done, too; what has been written stays.
"""

import argparse
import signal
import sys
import time
from pathlib import Path

from _command import Tool, import_package, interrupt, make_package_importable
from _light import import_for_filling, needs_no_more


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('photo', type=Path, metavar='PHOTO')
    tool.add_argument('mask', type=Path, metavar='MASK', nargs='?')
    tool.add_argument('-o', '--out', type=Path, metavar='OUT', required=True, help='file, or folder for a folder')
    tool.add_argument(
        '--model', metavar='NAME', help='network that has a name, such as cainet-photos (default), lama, dfnet'
    )
    tool.add_argument(
        '--config', help='config of the model, such as configs/baselines/telea.py; a published checkpoint has its own'
    )
    tool.add_argument(
        '--checkpoint', help='file of its weights, or name.onnx of tools/export.py; methods such as Telea have none'
    )
    tool.add_device_argument()
    tool.add_argument('--raw', action='store_true', help="also write the network's own image, as NAME.raw.png")
    tool.add_argument(
        '--save-scales',
        action='store_true',
        help="also write the outputs of the network's scales for the largest hole, as NAME.scales.png",
    )
    tool.add_argument('--refine', action='store_true', help='fill large holes again at finer scales')
    tool.add_mask_arguments()
    tool.add_argument('--fit-mask', action='store_true', help='scale masks of another size to the photograph')
    tool.add_argument('--work-size', type=int, help="side of the network's windows (default: that of its training)")
    tool.add_argument('--batch-size', type=int, default=8, help='windows at once (default: 8)')
    return tool


def load(tool, args):
    """Loads the network and says which; random weights are refused."""
    from cainet_mm.inference.loading import load_inpaintor
    from cainet_mm.inference.onnx_files import is_onnx
    from cainet_mm.inference.zoo import DEFAULT_MODEL, find_model

    if is_onnx(args.config, args.checkpoint):
        if args.raw:
            tool.refuse("--raw shows the network's own image, which an ONNX file does not give; leave it out.")
        device = 'cpu' if args.device == 'auto' else args.device
        model = load_inpaintor(None, args.checkpoint, device)
        network = f'{args.checkpoint}, by ONNX Runtime on {device}'
    elif args.config is None and args.checkpoint is None:
        name = args.model or DEFAULT_MODEL
        path = find_model(name)
        model = load_inpaintor(None, path, tool.choose_device(args.device))
        network = f'{name} ({path})'
    else:
        model = load_inpaintor(args.config, args.checkpoint, tool.choose_device(args.device))
        network = f'{type(model).__name__} of {" and ".join(filter(None, (args.config, args.checkpoint)))}'
        if args.checkpoint is None and any(True for _ in model.parameters()):
            tool.refuse(f'the model of {args.config} has weights, which --checkpoint has to name.')
    print(f'Network: {network}')
    return model


def describe_effort(seconds):
    """Says how long it took and, where the system tells, the most memory that the process held."""
    text = f'It took {seconds:.1f} s'
    if sys.platform == 'linux':
        import resource

        gigabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
        text += f' and at most {gigabytes:.2f} GB of memory'
    return f'{text}.'


def summarise(args, tasks, outcomes, seconds, unused, others):
    """Says what was done, and what was not."""
    from cainet_mm.utils.photo_paths import say_left_alone

    problems = [outcome.problem for outcome in outcomes if outcome.problem is not None]
    print(f'{len(outcomes) - len(problems)} of {len(tasks)} photographs have their result in {args.out}.')
    print(describe_effort(seconds))
    for outcome in outcomes:
        for note in outcome.notes:
            print(note)
    if unused:
        print(f'{len(unused)} masks belong to no photograph, such as {unused[0]}.')
    if others:
        print(say_left_alone(others))
    for problem in problems:
        print(problem, file=sys.stderr)
    left = len(tasks) - len(outcomes)
    if left:
        print(f'Stopped: {left} of {len(tasks)} photographs were not begun, or not finished.', file=sys.stderr)
    return 1 if problems or left else 0


def fill(tool, args):
    """Fills the photographs and says what was done; returns the exit status."""
    from tqdm import tqdm

    from cainet_mm.inference.inpainting import inpaint_files, pair_files
    from cainet_mm.utils.errors import describe_error

    try:
        tasks, unused, others = pair_files(args.photo, args.mask, args.out, args.raw, args.save_scales)
        model = load(tool, args)
        results = inpaint_files(
            tasks, model, args.work_size, args.batch_size, args.refine, args.hole_value, args.invert, args.fit_mask
        )
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        tool.refuse(describe_error(error))
    outcomes, status = [], 0
    start = time.perf_counter()
    try:
        for outcome in tqdm(results, total=len(tasks), unit='photo'):
            outcomes.append(outcome)
    except KeyboardInterrupt as interruption:
        status = 128 + (interruption.args or (signal.SIGINT,))[0]
    return max(status, summarise(args, tasks, outcomes, time.perf_counter() - start, unused, others))


def main():
    tool = make_tool()
    args = tool.parse_args()
    if args.model is not None and (args.config or args.checkpoint):
        tool.refuse('--model names a network by itself; give it, or --config and --checkpoint.')
    if '::' not in str(args.config):
        tool.require_file(args.config, '--config')
    tool.require_file(args.checkpoint, '--checkpoint')
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        make_package_importable()
        shipped = args.checkpoint is None and args.model in (None, 'cainet-photos', 'cainet-texture')
        if args.config is None and (shipped or needs_no_more(args.checkpoint)):
            import_for_filling()
        else:
            import_package()
        return fill(tool, args)
    except KeyboardInterrupt as interruption:
        print('Stopped before a photograph was begun.', file=sys.stderr)
        return 128 + (interruption.args or (signal.SIGINT,))[0]
    finally:
        signal.signal(signal.SIGTERM, before)


if __name__ == '__main__':
    sys.exit(main())

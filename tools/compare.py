"""Compares methods on the same images, masks and metrics.

    python tools/compare.py DATA OUT_DIR --method NAME CONFIG [CHECKPOINT] [--method NAME MODEL ...]

DATA is a config, whose test_dataloader is used, or a folder of photographs (--mask-folder for masks of your own; else
they are drawn, the same in every run). Each method brings a config for its model and, unless it has no weights, a
checkpoint; or MODEL: the name of a network, such as cainet-photos, or a file of tools/publish_model.py, which holds its
config. A method that fails gets a row that says so, and the others go on; the exit status is then 1.

OUT_DIR receives report.html (tables and images in one file, for the browser), table.md and table.csv (every metric with
its 95 % bootstrap interval over the images, all cases of a photograph together, by kind of masks and by size of the
hole, and its difference to the reference), images.csv (every image), costs.md and costs.csv, report.json (all of it,
and what was compared), montage.png, zooms.png (at the borders of holes) and plot.png.
"""

import argparse
import hashlib
import math
import sys
from pathlib import Path

from _command import Tool, import_package

ALL_METRICS = ('l1', 'psnr', 'ssim', 'lpips', 'fid')


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('data', help='config with a test_dataloader, or folder of photographs')
    tool.add_argument('out_dir', type=Path)
    tool.add_argument(
        '--method',
        action='append',
        nargs='+',
        required=True,
        metavar=('NAME', 'CONFIG'),
        help='NAME CONFIG [CHECKPOINT], NAME PUBLISHED.safetensors (or .pth), or NAME MODEL; may be repeated',
    )
    tool.add_argument(
        '--failed',
        action='append',
        nargs=2,
        default=[],
        metavar=('NAME', 'REASON'),
        help='a row for a method that could not be trained; may be repeated',
    )
    tool.add_argument(
        '--reference', metavar='NAME', help='method that the others are compared with (default: the last)'
    )
    tool.add_argument(
        '--masks',
        nargs='+',
        metavar='KIND',
        help='kinds of masks of the data (rectangular, irregular), or "configured" for those of the test pipeline '
        '(default: all kinds that it has)',
    )
    tool.add_argument(
        '--mask-folder',
        type=Path,
        help='masks for the photographs of a folder, named as they are or after them (a_mask.png; several as '
        'a_mask001.png, a_mask002.png); may be the same folder',
    )
    tool.add_mask_arguments()
    tool.add_argument(
        '--image-size',
        type=int,
        help='resizes photographs of a folder to this shorter side, enlarging smaller ones, and takes the square in '
        'their middle (256 if masks are drawn)',
    )
    tool.add_argument(
        '--metrics',
        nargs='+',
        metavar='METRIC',
        help=f'of {", ".join(ALL_METRICS)}; lpips and fid need weights (default: all whose weights are there)',
    )
    tool.add_argument('--lpips-weights', type=Path, help="torchvision's AlexNet (default: the one in torch's cache)")
    tool.add_argument(
        '--inception', type=Path, help="torch-fidelity's Inception-v3 (default: the one in torch's cache)"
    )
    tool.add_argument('--pictures', type=int, default=6, help='rows of the montage, 0 for none (default: %(default)s)')
    tool.add_argument('--save-images', action='store_true', help='writes every answer as PNG, below OUT_DIR/images')
    tool.add_argument('--batch-size', type=int, help='images that are loaded together; the metrics do not depend on it')
    tool.add_argument('--workers', type=int, help='processes that load images; the metrics do not depend on it')
    tool.add_device_argument()
    return tool


def parse(tool):
    """Parses the command line and refuses what cannot work before anything slow is imported."""
    args = tool.parse_args()
    if not Path(args.data).is_dir():
        if '::' not in args.data:
            tool.require_file(args.data, 'DATA, which is a config or a folder of photographs,')
        if args.mask_folder or args.image_size is not None:
            tool.refuse('--mask-folder and --image-size are for a folder of photographs; a config says both by itself.')
    if args.image_size is not None and args.image_size < 1:
        tool.refuse(f'--image-size takes a number of pixels from 1 up, got {args.image_size}.')
    if (args.hole_value is not None or args.invert) and not args.mask_folder:
        tool.refuse('--hole-value and --invert are for the masks of --mask-folder; a config has them in LoadHole.')
    names = [name for name, *_ in (*args.method, *args.failed)]
    for name, *files in args.method:
        if len(files) not in (1, 2):
            forms = 'NAME CONFIG [CHECKPOINT], NAME PUBLISHED.safetensors, or NAME MODEL'
            tool.refuse(f'--method takes {forms}, got {" ".join((name, *files))}.')
        for path, kind in zip(files, ('config', 'checkpoint'), strict=False):
            is_name = len(files) == 1 and not Path(path).suffix
            kind = 'published file' if is_published(files) else kind
            if '::' not in path and not is_name:
                tool.require_file(path, f'the {kind} of {name},')
    if len(set(names)) < len(names):
        tool.refuse(f'--method needs a different NAME for each method, got {", ".join(names)}.')
    args.reference = args.reference or args.method[-1][0]
    if args.reference not in names:
        tool.refuse(f'--reference {args.reference} is none of the methods {", ".join(names)}.')
    unknown = sorted(set(args.metrics or ()) - set(ALL_METRICS))
    if unknown:
        tool.refuse(f'--metrics knows {", ".join(ALL_METRICS)}, got {", ".join(unknown)}.')
    if args.batch_size is not None and args.batch_size < 1 or args.workers is not None and args.workers < 0:
        tool.refuse('--batch-size takes a number from 1 up, --workers one from 0 up.')
    if args.pictures < 0:
        tool.refuse(f'--pictures takes a number from 0 up, got {args.pictures}.')
    return args


def is_published(files):
    """Whether a method is a file that holds its config."""
    return len(files) == 1 and Path(files[0]).suffix in ('.safetensors', '.pth')


def with_files(name, *files):
    """Replaces the name of a network by its file, and says that a published file has a config of its own."""
    from cainet_mm.apis import find_model
    from cainet_mm.inference.zoo import is_name

    named = len(files) == 1 and is_name(files[0])
    if named or is_published(files):
        return name, None, str(find_model(files[0])) if named else files[0]
    return name, *files


def choose_metrics(tool, args):
    """Puts the configs of the metrics together, those on feature networks where their weights are there."""
    from mmengine.registry import METRICS

    from cainet_mm.evaluation.comparison import IMAGES, image_metrics

    wanted = args.metrics or ALL_METRICS
    types = dict(l1=('MAE', 'HoleMAE'), psnr=('PSNR', 'HolePSNR'), ssim=('SSIM', 'HoleSSIM'))
    chosen = {name for metric in wanted for name in types.get(metric, ())}
    metrics = [metric for metric in image_metrics() if metric['type'] in chosen]
    truth, missing = {}, []
    for metric, options in (
        ('lpips', dict(type='LPIPS', weights=args.lpips_weights)),
        ('fid', dict(type='InceptionFID', weights=args.inception, truth=truth)),
    ):
        if metric not in wanted:
            continue
        try:
            configs = [dict(options, pred_key=key, prefix=image) for image, key in IMAGES.items()]
            METRICS.build(configs[0])  # to see that it can be
            metrics += configs
        except (FileNotFoundError, ValueError) as error:
            if args.metrics or not isinstance(error, FileNotFoundError):
                tool.refuse(error)
            missing.append(f'Without {metric.upper()}: {error}')
    if not metrics:
        tool.refuse(f'None of the metrics can be taken. {" ".join(missing)}')
    return metrics, missing


def run_methods(args, config, metrics, kinds):
    """Runs every method under every kind of masks; returns results by kind and method, costs and failures by method."""
    from tqdm import tqdm

    from cainet_mm.apis import evaluate_method, load_model, loader_from_config, measure_cost
    from cainet_mm.evaluation.comparison import path_below

    loaders = {kind: loader_from_config(config, kind, args.batch_size, args.workers) for kind in kinds}
    results, costs, failures = {kind: {} for kind in kinds}, {}, dict(args.failed)
    for name, *files in args.method:
        done = {}
        try:
            model = load_model(*files, device=args.device)
            for kind, loader in loaders.items():
                with tqdm(total=len(loader.dataset), desc=f'{name}, {kind} masks', unit='image') as progress:
                    done[kind] = evaluate_method(
                        model,
                        loader,
                        metrics,
                        args.pictures,
                        on_batch=progress.update,
                        save_to=args.out_dir / 'images' / path_below(name) / kind if args.save_images else None,
                    )
            costs[name] = measure_cost(model, done[kind].size)
        except Exception as error:  # whatever a method of somebody else's raises; it is reported in its row
            failures[name] = f'{type(error).__name__}: {error}'
            print(f'{name} failed: {failures[name]}', file=sys.stderr)
            continue
        for kind, result in done.items():
            results[kind][name] = result
    return results, costs, failures


def sheet_of(results, zoomed):
    """Lays out a row for each photograph: input, scales of the last multi-scale method, each method's answer, truth.

    Zooms leave the scales out, and show a square around a piece of the hole's border.
    """
    from cainet_mm.evaluation import border_window

    staged = None if zoomed else next((one for one in reversed(results.values()) if one.pictures[0].scales), None)
    scales = len(staged.pictures[0].scales) if staged else 0
    rows = []
    for index, shown in enumerate(next(iter(results.values())).pictures):
        window = border_window(shown.hole) if zoomed else ...
        stages = staged.pictures[index].scales if staged else []
        answers = [result.pictures[index].final for result in results.values()]
        rows.append([image[window] for image in (shown.masked, *stages, *answers, shown.truth)])
    return ['input', *(f'scale {number}' for number in range(scales, 0, -1)), *results, 'truth'], rows


def write_pictures(results, records, out_dir):
    """Writes the montage, the zooms and the plot; several kinds of masks stand below each other."""
    from cainet_mm.evaluation import write_montage, write_plot

    for name, zoomed in (('montage.png', False), ('zooms.png', True)):
        sheets = [sheet_of(methods, zoomed) for methods in results.values()]
        write_montage(sheets[0][0], [row for _, rows in sheets for row in rows], out_dir / name)
    write_plot(records, out_dir / 'plot.png')


def describe(files):
    """Says what a method was: its files, and the checkpoint's SHA-256."""
    checkpoint = files[1] if len(files) > 1 else None
    local = checkpoint is not None and Path(checkpoint).is_file()
    digest = hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest() if local else None
    return dict(config=files[0], checkpoint=checkpoint, sha256=digest)


def notes_on(results, args, failures):
    """Says what the tables do not show: what was left out, enlarged or filled exactly, and why nothing is compared."""
    from cainet_mm.utils.checkpoint_io import enumerate_names

    notes = []
    for kind, methods in results.items():
        some = next(iter(methods.values()))
        if some.without_hole:
            notes.append(
                f'Without a hole under {kind} masks, and left out of everything: {", ".join(some.without_hole)}.'
            )
        exact = [
            f'{image.name} by {name}'
            for name, result in methods.items()
            for image in result.images
            if math.inf in image.metrics.values()
        ]
        if exact:
            notes.append(
                f'Filled without any error under {kind} masks, so that PSNR is infinite there and in the means: '
                f'{enumerate_names(exact)}.'
            )
    if some.enlarged:
        advice = 'a smaller --image-size' if Path(args.data).is_dir() else 'a config of smaller images'
        notes.append(
            f'{len(some.enlarged)} of {len(some.images)} images are of photographs smaller than {some.size[0]}x'
            f'{some.size[1]} pixels, and were enlarged: {enumerate_names(some.enlarged)}. To avoid it, take {advice}.'
        )
    if args.reference in failures:
        notes.append(f'There are no differences, since the reference, {args.reference}, failed.')
    return notes


def main():
    tool = make_tool()
    args = parse(tool)
    cainet_mm = import_package()
    import torch
    from mmengine.registry import init_default_scope

    from cainet_mm.apis import config_of_folder, kinds_of, read_config
    from cainet_mm.evaluation import summarise, write_costs, write_html, write_images, write_json, write_report

    try:
        args.method = [with_files(*method) for method in args.method]
        if Path(args.data).is_dir():
            config = config_of_folder(Path(args.data), args.mask_folder, args.image_size, args.hole_value, args.invert)
        else:
            config = read_config(args.data)
            if config.get('test_dataloader') is None:
                tool.refuse(f'config {args.data} has no test_dataloader; give one that tests.')
        init_default_scope(config.get('default_scope', 'mmagic'))
        metrics, missing = choose_metrics(tool, args)
        kinds = args.masks or kinds_of(config)
        args.device = tool.choose_device(args.device)
        results, costs, failures = run_methods(args, config, metrics, kinds)
    except (FileNotFoundError, ValueError) as error:
        tool.refuse(error)
    costs = {name: vars(cost) for name, cost in costs.items()}
    if not costs:
        reasons = (f'{name}: {why.rstrip(".")}.' for name, why in failures.items())
        tool.refuse(f'no method could be run. {" ".join(reasons)}')
    reference = args.reference if args.reference in costs else None
    records = summarise(results, reference)
    missing += notes_on(results, args, failures)
    images = next(iter(results[kinds[0]].values())).images
    photos = len({image.photo for image in images})
    several = photos < len(images)
    counted = f'{len(images)} cases of {photos} photographs' if several else f'{len(images)} images'
    notes = [
        f'{counted}. In brackets: 95 % intervals by bootstrap over the {"photographs" if several else "images"}.',
        'Metrics are taken of images rounded to 8 bits; the L1 error is of images in [0, 1].',
        *missing,
    ]
    shown = write_report(records, failures, notes, args.out_dir, reference)
    write_images(results, args.out_dir / 'images.csv')
    cost_table = write_costs(costs, args.out_dir)
    methods = {name: describe(files) for name, *files in args.method}
    versions = dict(cainet_mm=cainet_mm.__version__, torch=torch.__version__)
    report = dict(
        data=args.data, methods=methods, reference=reference, failures=failures, versions=versions, figures=records,
        costs=costs,
    )  # fmt: skip
    write_json(report, args.out_dir / 'report.json')
    write_html(report, results, notes, args.out_dir / 'report.html')
    print(f'\n{shown}\n{cost_table}')
    for line in missing:
        print(line)
    print(f'Report:  {args.out_dir / "report.html"} (for the browser: tables that sort, images to lay over each other)')
    print(f'Tables:  {args.out_dir / "table.md"} (with intervals), costs.md, table.csv, images.csv, report.json')
    if args.pictures:
        write_pictures(results, records, args.out_dir)
        print(f'Montage: {args.out_dir / "montage.png"}, zooms.png, plot.png')
    if failures:
        sys.exit(1)


if __name__ == '__main__':
    main()

"""Compares methods on the same images, masks and metrics: python tools/compare.py DATA_CONFIG OUT_DIR --method ...

    python tools/compare.py DATA_CONFIG OUT_DIR --method NAME CONFIG [CHECKPOINT] [--method NAME CONFIG ...]

The test data and the metrics are those of DATA_CONFIG; each method brings a config for its model and, unless it has no
weights, a checkpoint. OUT_DIR receives table.md, table.csv and montage.png. The last method that has outputs at several
scales shows them in the montage.
"""

import argparse
from pathlib import Path

from _command import Tool, make_package_importable


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('data_config', help='config whose test_dataloader and test_evaluator are used')
    tool.add_argument('out_dir', type=Path)
    tool.add_argument(
        '--method', action='append', nargs='+', required=True, metavar=('NAME', 'CONFIG'), help='may be repeated'
    )
    tool.add_argument('--pictures', type=int, default=6, help='rows of the montage, 0 for none (default: %(default)s)')
    tool.add_argument('--device', default='cpu')
    return tool


def parse(tool):
    """Parses the command line and refuses what cannot work before anything slow is imported."""
    args = tool.parse_args()
    tool.require_file(args.data_config, 'data_config')
    names = [name for name, *_ in args.method]
    for name, *files in args.method:
        if len(files) not in (1, 2):
            tool.refuse(f'--method takes NAME CONFIG [CHECKPOINT], got {" ".join((name, *files))}.')
        for path, kind in zip(files, ('config', 'checkpoint'), strict=False):
            tool.require_file(path, f'the {kind} of {name},')
    if len(set(names)) < len(names):
        tool.refuse(f'--method needs a different NAME for each method, got {", ".join(names)}.')
    return args


def montage_columns(results):
    """Lays out the montage: input, scales of the last multi-scale method, each method's answer, truth."""
    staged = next((result for result in reversed(results.values()) if result.pictures[0].scales), None)
    scales = staged.pictures[0].scales if staged else []
    titles = ['input', *(f'scale {len(scales) - index}' for index in range(len(scales))), *results, 'truth']
    rows = []
    for index, pictures in enumerate(next(iter(results.values())).pictures):
        answers = [result.pictures[index].final for result in results.values()]
        stages = staged.pictures[index].scales if staged else []
        rows.append([pictures.masked, *stages, *answers, pictures.truth])
    return titles, rows


def main():
    tool = make_tool()
    args = parse(tool)
    make_package_importable()
    # first: MMagic imports only after it
    from cainet_mm.apis import evaluate_method, load_model  # isort: skip
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmengine.runner import Runner
    from tqdm import tqdm

    from cainet_mm.evaluation import write_montage, write_tables

    config = Config.fromfile(args.data_config)
    if config.get('test_dataloader') is None or config.get('test_evaluator') is None:
        tool.refuse(f'config {args.data_config} has no test_dataloader or no test_evaluator; give one that tests.')
    init_default_scope(config.get('default_scope', 'mmagic'))
    results = {}
    try:
        loader = Runner.build_dataloader(config.test_dataloader)
        for name, *files in args.method:
            model = load_model(*files, device=args.device)
            with tqdm(total=len(loader.dataset), desc=name, unit='image') as progress:
                results[name] = evaluate_method(
                    model, loader, config.test_evaluator, args.pictures, on_batch=progress.update
                )
    except (FileNotFoundError, ValueError) as error:
        tool.refuse(error)
    print(f'\n{write_tables({name: result.figures for name, result in results.items()}, args.out_dir / "table")}')
    print(f'Table:   {args.out_dir / "table.md"} (and .csv)')
    if args.pictures:
        write_montage(*montage_columns(results), args.out_dir / 'montage.png')
        print(f'Montage: {args.out_dir / "montage.png"}')


if __name__ == '__main__':
    main()

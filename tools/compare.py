"""Compare methods on the same images, masks and metrics: a table and a montage.

    python tools/compare.py DATA_CONFIG OUT_DIR --method NAME CONFIG [CHECKPOINT] [--method ...]

The test data and the metrics are those of DATA_CONFIG; each method brings a config for its model and, unless it has no
weights, a checkpoint. OUT_DIR receives table.md, table.csv and montage.png. The last method that has outputs at several
scales shows them in the montage.
"""

import argparse
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from tqdm import tqdm

import cainet_mm  # noqa: F401 (first: MMagic imports only after it)
from cainet_mm.apis import MethodResult, evaluate_method, load_model
from cainet_mm.evaluation import write_montage, write_tables


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('data_config', help='config whose test_dataloader and test_evaluator are used')
    parser.add_argument('out_dir', type=Path)
    parser.add_argument(
        '--method', action='append', nargs='+', required=True, metavar=('NAME', 'CONFIG'), help='may be repeated'
    )
    parser.add_argument('--pictures', type=int, default=6, help='rows of the montage (default: %(default)s)')
    parser.add_argument('--device', default='cpu')
    args = parser.parse_args()
    for method in args.method:
        if len(method) not in (2, 3):
            parser.error(f'--method takes NAME CONFIG [CHECKPOINT], got {" ".join(method)}')
    if not Path(args.data_config).is_file():
        parser.error(f'the config {args.data_config} does not exist')
    return args


def montage_columns(results: dict[str, MethodResult]) -> tuple[list[str], list[list]]:
    """Lay out the montage: input, scales of the last multi-scale method, each method's answer, truth."""
    staged = next((result for result in reversed(results.values()) if result.pictures[0].scales), None)
    scales = staged.pictures[0].scales if staged else []
    titles = ['input', *(f'scale {len(scales) - index}' for index in range(len(scales))), *results, 'truth']
    rows = []
    for index, pictures in enumerate(next(iter(results.values())).pictures):
        answers = [result.pictures[index].final for result in results.values()]
        stages = staged.pictures[index].scales if staged else []
        rows.append([pictures.masked, *stages, *answers, pictures.truth])
    return titles, rows


def main() -> None:
    """Run the comparison."""
    args = parse_args()
    config = Config.fromfile(args.data_config)
    init_default_scope(config.get('default_scope', 'mmagic'))
    loader = Runner.build_dataloader(config.test_dataloader)
    results = {}
    try:
        for name, model_config, *checkpoint in args.method:
            model = load_model(model_config, *checkpoint, device=args.device)
            with tqdm(total=len(loader.dataset), desc=name, unit='image') as progress:
                results[name] = evaluate_method(
                    model, loader, config.test_evaluator, args.pictures, on_batch=progress.update
                )
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f'compare.py: {error}')
    print(f'\n{write_tables({name: result.figures for name, result in results.items()}, args.out_dir / "table")}')
    print(f'Table:   {args.out_dir / "table.md"} (and .csv)')
    if args.pictures:
        write_montage(*montage_columns(results), args.out_dir / 'montage.png')
        print(f'Montage: {args.out_dir / "montage.png"}')


if __name__ == '__main__':
    main()

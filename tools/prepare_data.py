"""Writes the image lists of a data set: python tools/prepare_data.py DATA_SET [ROOT] [options]

    python tools/prepare_data.py {imagenet,places2,celeba-hq,paris-streetview} [ROOT]
    python tools/prepare_data.py folder ROOT [--test-share 0.1] [--seed 0]

ROOT is the folder with the data set as it was downloaded and unpacked (default: data/DATA_SET, where the configs look
for it). Its images are counted and verified; ROOT/lists receives train.txt and test.txt, and left_out.txt with what is
wrong with each image that is in neither. No image is copied or changed. configs/README.md shows the expected folders.
"""

import argparse
import os
from pathlib import Path

from _command import Tool, import_package

# the configs' folders; a test compares the names with cainet_mm.datasets.preparation.LAYOUTS
ROOTS = {
    'imagenet': 'data/imagenet',
    'places2': 'data/places2',
    'celeba-hq': 'data/celeba_hq',
    'paris-streetview': 'data/paris_streetview',
    'folder': None,
}


def share(text):
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f'{text} is no share between 0 and 1')
    return value


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'{text} is below 1')
    return value


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data_sets = tool.add_subparsers(dest='data_set', required=True, metavar='DATA_SET')
    for name, root in ROOTS.items():
        data_set = data_sets.add_parser(name)
        if root is None:
            data_set.add_argument('root', type=Path)
        else:
            data_set.add_argument('root', type=Path, nargs='?', default=Path(root), help='default: %(default)s')
        data_set.add_argument('--lists', type=Path, metavar='DIR', help='where the lists go (default: ROOT/lists)')
        data_set.add_argument(
            '--min-side', type=positive, metavar='PIXELS', help='leave out images that are smaller along one side'
        )
        data_set.add_argument(
            '--headers-only',
            action='store_true',
            help='trust an image whose header can be read; does not find files '
            'that were cut off, but takes a fraction of the time',
        )
        data_set.add_argument('--any-number', action='store_true', help='accept an incomplete or another edition')
        data_set.add_argument(
            '--workers',
            type=positive,
            default=len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count(),
            help='images verified at a time (default: %(default)s)',
        )
        if name in ('celeba-hq', 'folder'):
            data_set.add_argument('--seed', type=int, default=0, help='draws the test images (default: %(default)s)')
        if name == 'folder':
            data_set.add_argument(
                '--test-share', type=share, default=0.1, help='share of the test images (default: %(default)s)'
            )
    return tool


def main():
    tool = make_tool()
    args = tool.parse_args()
    if not args.root.is_dir():
        tool.refuse(f'{args.root} is no folder (looked in {os.getcwd()}); give the one with the data set.')
    import_package()
    from tqdm import tqdm

    from cainet_mm.datasets.preparation import LAYOUTS, PreparationError, prepare
    from cainet_mm.evaluation.tables import markdown_table

    try:
        prepared = prepare(
            LAYOUTS[args.data_set],
            args.root,
            args.lists,
            num_test=getattr(args, 'test_share', None),
            seed=getattr(args, 'seed', 0),
            min_side=args.min_side,
            headers_only=args.headers_only,
            any_number=args.any_number,
            workers=args.workers,
            track=lambda images, name, total: tqdm(images, desc=name, total=total, unit='image'),
        )
    except (PreparationError, OSError) as error:
        tool.refuse(error)
    rows = [[str(one.path), f'{len(one.kept):,}', f'{len(one.bad):,}'] for one in prepared]
    print(f'\n{markdown_table(["list", "images", "left out"], rows)}')
    if 'seed' in args:
        print(f'The test images were drawn with seed {args.seed}.')
    if any(one.bad for one in prepared):
        print(f'What was left out, and why: {prepared[0].path.with_name("left_out.txt")}')


if __name__ == '__main__':
    main()

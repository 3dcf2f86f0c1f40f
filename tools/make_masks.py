"""Makes a fixed set of masks on disk: python tools/make_masks.py OUT_DIR --kind KIND [options]

    python tools/make_masks.py data/masks/irregular_256 --kind irregular --count 1000

The masks are PNG files, 255 in the hole; masks.txt lists them. Kind buckets: irregular masks by the share of the image
that is hole, 1-10 %, 10-20 %, ... 50-60 %, with COUNT masks and a list (01-10.txt, ...) each. The same options give the
same masks, and a larger COUNT only adds some. configs/cainet/evaluation/places2_mask_set.py evaluates on a set.
"""

import argparse
from pathlib import Path

from _command import Tool, import_package

MASKS = Path(__file__).resolve().parents[1] / 'configs' / '_base_' / 'masks' / 'free_form_256.py'


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('out_dir', type=Path)
    tool.add_argument('--kind', choices=['rectangular', 'irregular', 'buckets'], required=True)
    tool.add_argument('--size', type=int, default=256, help='height and width (default: %(default)s)')
    tool.add_argument('--count', type=int, default=1000, help='number of masks (default: %(default)s)')
    tool.add_argument('--seed', type=int, default=0, help='default: %(default)s')
    tool.add_argument(
        '--generators',
        default=str(MASKS),
        metavar='CONFIG',
        help='whose rectangles and strokes are drawn, scaled to SIZE (default: configs/_base_/masks/free_form_256.py)',
    )
    return tool


def main():
    tool = make_tool()
    args = tool.parse_args()
    tool.require_file(args.generators, '--generators')
    import_package()
    from mmengine.registry import init_default_scope
    from tqdm import tqdm

    from cainet_mm.datasets.mask_sets import AREA_RANGES, areas_by_list, write_mask_set
    from cainet_mm.evaluation.tables import markdown_table
    from cainet_mm.inference.configs import read_config

    init_default_scope('mmagic')
    try:
        generators = read_config(args.generators)
    except ValueError as error:
        tool.refuse(error)
    if not {'rectangles', 'strokes', 'image_size'} <= generators.keys():
        tool.refuse(f'--generators {args.generators} has to define rectangles, strokes and image_size.')
    try:
        total = args.count * (len(AREA_RANGES) if args.kind == 'buckets' else 1)
        with tqdm(total=total, desc=args.kind, unit='mask') as progress:
            lists = write_mask_set(
                args.out_dir, args.kind, generators, args.size, args.count, args.seed, on_mask=progress.update
            )
    except (ValueError, OSError) as error:
        tool.refuse(error)
    rows = [[name, str(count), *(f'{area:.1%}' for area in areas)] for name, count, *areas in areas_by_list(lists)]
    print(f'\n{markdown_table(["list", "masks", "smallest hole", "mean hole", "largest hole"], rows)}')


if __name__ == '__main__':
    main()

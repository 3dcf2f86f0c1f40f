"""Writes the masks that tools/compare.py tests under, and their hashes: python tools/test_masks.py CONFIG OUT [options]

    python tools/test_masks.py configs/quickstart/stage2.py masks/ --check configs/_base_/masks/hashes/quickstart_64.txt
    python tools/test_masks.py configs/photos/stage2_128.py masks/ --names test.txt
    python tools/test_masks.py configs/_base_/masks/widths_256.py masks/ --names test.txt --masks thin thick

OUT receives KIND/NAME.png, 255 in the hole, for each photograph, and hashes.txt with the SHA-256 of each mask's pixels.
A mask goes by the photograph's name alone, so a list of names (--names) does where the photographs are not. With
--check nothing is written unless all hashes are those of the list; then others compare on the same holes.
"""

import argparse
from pathlib import Path

from _command import Tool, import_package


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('config', metavar='CONFIG', help='config with test_masks')
    tool.add_argument('out', type=Path, metavar='OUT')
    tool.add_argument('--names', metavar='LIST', help='names of the photographs, one a line (default: the test set)')
    tool.add_argument('--masks', nargs='+', default=[], metavar='KIND', help='which of test_masks (default: all)')
    tool.add_argument('--check', metavar='HASHES', help='list of hashes that the masks have to have')
    return tool


def main():
    tool = make_tool()
    args = tool.parse_args()
    for path, name in ((args.config, 'config'), (args.names, '--names'), (args.check, '--check')):
        if path is not None:
            tool.require_file(path, name)
    import_package()
    import cv2
    from mmengine.registry import init_default_scope

    from cainet_mm.apis import read_config
    from cainet_mm.datasets import test_masks
    from cainet_mm.datasets.masks import encode_mask
    from cainet_mm.datasets.preparation import write_list
    from cainet_mm.utils.errors import describe_error
    from cainet_mm.utils.files import write_file

    try:
        config = read_config(args.config)
        init_default_scope(config.get('default_scope', 'mmagic'))
        masks = dict(test_masks.draw_test_masks(config, args.names, args.masks))
        hashes = {name: test_masks.hash_mask(mask) for name, mask in masks.items()}
        if args.check is not None:
            published = test_masks.read_hashes(args.check)
            different = test_masks.find_differences(hashes, published)
            if different:
                tool.stop(
                    f'{len(different)} masks are not those of {args.check}, such as {different[0]}; nothing was '
                    f'written. They were drawn by OpenCV {cv2.__version__}; compare that, the names and the config.'
                )
        for name, mask in masks.items():
            write_file(args.out / f'{name}.png', encode_mask(mask))
        write_list(args.out / 'hashes.txt', [f'{digest}  {name}' for name, digest in hashes.items()])
    except (OSError, ValueError) as error:
        tool.refuse(describe_error(error))
    same = f', the same as in {args.check}' if args.check is not None else ''
    print(f'{len(masks)} masks and hashes.txt are in {args.out}{same}.')


if __name__ == '__main__':
    main()

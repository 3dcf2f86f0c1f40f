"""Strips a training checkpoint to what inference needs, and puts the config and a hash to it.

    python tools/publish_model.py CONFIG CHECKPOINT OUT.pth [--half]

Writes OUT-HASH.pth, which cainet_mm.apis.load_model reads without a config.
"""

import argparse

from _command import Tool, make_package_importable


def main():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('config', help='config that the checkpoint was trained with')
    tool.add_argument('checkpoint')
    tool.add_argument('out')
    tool.add_argument('--half', action='store_true', help='write float16 weights, at half the size')
    args = tool.parse_args()
    if '::' not in args.config:
        tool.require_file(args.config, 'config')
    tool.require_file(args.checkpoint, 'checkpoint')
    make_package_importable()
    # first: MMagic imports only after it
    from cainet_mm.apis import publish
    from cainet_mm.apis.models import load_inpaintor

    try:
        load_inpaintor(args.config, args.checkpoint)
        published = publish(args.checkpoint, args.config, args.out, args.half)
        load_inpaintor(None, published)
    except (OSError, RuntimeError, ValueError) as error:
        tool.refuse(' '.join(str(error).split()))
    print(f'{published}: {published.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()

"""Strips a training checkpoint to what inference needs, and puts the config and a hash to it.

    python tools/publish_model.py CONFIG CHECKPOINT OUT.safetensors [--dtype float16] [--note KEY=VALUE ...]
    python tools/publish_model.py CONFIG CHECKPOINT OUT.pth

Writes OUT-HASH.safetensors or OUT-HASH.pth, which cainet_mm.apis.load_model reads without a config. Averaged weights of
an EMAHook are taken. Notes are kept with the weights, such as licence=Apache-2.0 and data="9 photographs"; metrics are
named metrics.NAME, such as metrics.PSNR=25.1, by which cainet_mm.apis.list_models tells them.
"""

import argparse

from _command import Tool, import_package


def main():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('config', help='config that the checkpoint was trained with')
    tool.add_argument('checkpoint')
    tool.add_argument('out')
    tool.add_argument(
        '--dtype', choices=['float32', 'float16'], default='float32', help='of the weights; float16 halves the file'
    )
    tool.add_argument('--half', action='store_const', dest='dtype', const='float16', help='the same as --dtype float16')
    tool.add_argument(
        '--with-critic', action='store_true', help='keep the critic, for those who go on by tools/train.py --finetune'
    )
    tool.add_argument(
        '--note', action='append', default=[], metavar='KEY=VALUE', help='a fact to keep with them; may be repeated'
    )
    args = tool.parse_args()
    for note in args.note:
        if not note.partition('=')[0] or '=' not in note:
            tool.refuse(f'--note takes KEY=VALUE, such as licence=Apache-2.0; got {note!r}.')
    if '::' not in args.config:
        tool.require_file(args.config, 'config')
    tool.require_file(args.checkpoint, 'checkpoint')
    import_package()
    from cainet_mm.apis import publish
    from cainet_mm.inference.loading import load_inpaintor
    from cainet_mm.utils.errors import describe_error

    notes = dict(note.split('=', 1) for note in args.note)
    try:
        load_inpaintor(args.config, args.checkpoint)
        published = publish(args.checkpoint, args.config, args.out, args.dtype == 'float16', notes, args.with_critic)
        load_inpaintor(None, published)
    except (OSError, RuntimeError, ValueError) as error:
        tool.refuse(describe_error(error))
    print(f'{published}: {published.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    main()

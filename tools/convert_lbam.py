"""Turns a public LBAM checkpoint into one of this package: python tools/convert_lbam.py PUBLIC OUT

    python tools/convert_lbam.py LBAM_NoBN_Places10Classes.pth work_dirs/lbam/places2.pth
    python tools/test.py configs/baselines/lbam_places2.py work_dirs/lbam/places2.pth

PUBLIC holds LBAM's weights under the names of its authors' implementation. Every one of them has to find its place, and
every place its weights. OUT holds the generator; the critic, which only training needs, is not published.
"""

import argparse
from pathlib import Path

from _command import Tool, make_package_importable

CONFIG = Path(__file__).resolve().parents[1] / 'configs' / 'baselines' / 'lbam_places2.py'


def public_names(stages):
    """The names of LBAM's authors, each with the name in an LBAMGenerator of so many stages."""
    names = {f'dc{stages}.weight': 'to_image.weight'}
    for stage in range(stages):
        public, ours = f'ec{stage + 1}.conv', f'encoder.{stage}'
        names[f'{public}.conv.weight'] = f'{ours}.conv.weight'
        names.update(attention_names(f'{public}.maskConv', f'{public}.activationFuncG_A', f'{ours}.attention'))
    for stage in range(stages - 1):
        public = f'reverseConv{stage + 1}'
        names.update(attention_names(f'{public}.reverseMaskConv', f'{public}.activationFuncG_A', f'reverse.{stage}'))
        names[f'dc{stage + 1}.conv.weight'] = f'decoder.{stage}.conv.weight'
    return names


def attention_names(conv, activation, ours):
    """The names of a mask's convolution and of the activation's four numbers."""
    numbers = {f'{activation}.{number}': f'{ours}.activation.{number}' for number in ('a', 'mu', 'sigma1', 'sigma2')}
    return {f'{conv}.weight': f'{ours}.mask_conv.weight', **numbers}


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('public', type=Path, metavar='PUBLIC')
    tool.add_argument('out', type=Path, metavar='OUT')
    tool.add_argument(
        '--config',
        default=str(CONFIG),
        help='whose model the weights are for (default: configs/baselines/lbam_places2.py)',
    )
    tool.add_argument('--force', action='store_true', help='replace OUT if it exists')
    return tool


def main():
    tool = make_tool()
    args = tool.parse_args()
    tool.require_file(args.config, '--config')
    tool.require_file(str(args.public), 'PUBLIC')
    make_package_importable()
    # first: MMagic imports only after it
    import cainet_mm  # noqa: F401  # isort: skip
    from mmagic.registry import MODELS
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    from cainet_mm.apis.conversion import read_weights, rename_strictly, write_checkpoint

    init_default_scope('mmagic')
    encdec = Config.fromfile(args.config).get('model', {}).get('encdec', {})
    if encdec.get('generator', {}).get('type') != 'LBAMGenerator':
        tool.refuse(f'--config {args.config} has no LBAMGenerator as its model.encdec.generator.')
    generator = MODELS.build(encdec.generator)
    try:
        weights = rename_strictly(
            read_weights(args.public), public_names(len(generator.encoder)), generator, str(args.public)
        )
        # where the inpaintor has it, within the UnitRangeGenerator
        weights = {f'generator.generator.{name}': value for name, value in weights.items()}
        write_checkpoint(weights, args.out, dict(converted_from=args.public.name), args.force)
    except (ValueError, OSError) as error:
        tool.refuse(error)
    print(f'{args.out}: {len(weights)} tensors of LBAM; use it with {args.config}.')


if __name__ == '__main__':
    main()

"""What the converters of public checkpoints share: arguments, reading, strict renaming, writing."""

import argparse
from pathlib import Path

from _command import Tool, make_package_importable

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


def run_converter(description, method, config, fits, public_names, prepare=lambda weights: weights):
    """Runs a converter's command line: PUBLIC OUT [--config CONFIG] [--force].

    Args:
        description: The converter's help.
        method: What the network is called.
        config: The config that the weights are for, unless another one is given.
        fits: Tells whether a config's ``model.encdec`` is of this method.
        public_names: Gives, for the network, its public names, each with the name in the network.
        prepare: Takes out of the public names what differs between the method's public checkpoints.
    """
    tool = Tool(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('public', type=Path, metavar='PUBLIC')
    tool.add_argument('out', type=Path, metavar='OUT')
    tool.add_argument(
        '--config',
        default=str(config),
        help=f'whose model the weights are for (default: configs/{config.relative_to(CONFIGS)})',
    )
    tool.add_argument('--force', action='store_true', help='replace OUT if it exists')
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
    from cainet_mm.apis.publishing import CONFIG_KEY, plain_config

    init_default_scope('mmagic')
    chosen = Config.fromfile(args.config)
    encdec = chosen.get('model', {}).get('encdec', {})
    if not fits(encdec):
        tool.refuse(f'--config {args.config} is not one of {method}; take {config.name} or one that inherits from it.')
    generator = MODELS.build(encdec.generator)
    try:
        weights = prepare(read_weights(args.public))
        weights = rename_strictly(weights, public_names(generator), generator, str(args.public))
        # where the inpaintor has it, within the UnitRangeGenerator
        weights = {f'generator.generator.{name}': value for name, value in weights.items()}
        meta = {'converted_from': args.public.name, CONFIG_KEY: plain_config(chosen)}
        write_checkpoint(weights, args.out, meta, args.force)
    except (ValueError, OSError) as error:
        tool.refuse(error)
    print(f'{args.out}: {len(weights)} tensors of {method}, and the config of its model.')

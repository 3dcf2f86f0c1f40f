"""What the converters of public checkpoints share: arguments, reading, strict renaming, writing."""

import argparse
import re
from pathlib import Path

from _command import Tool, make_package_importable

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'


def take_marked(weights, pattern):
    """Takes out of a file the weights whose names match, under the first group of the match.

    Raises:
        ValueError: Two names have one group.
    """
    matches = {name: re.fullmatch(pattern, name) for name in weights}
    full_names = {}
    for name, match in matches.items():
        if match and full_names.setdefault(match[1], name) != name:
            raise ValueError(
                f'{match[1]} is there twice, as {full_names[match[1]]} and as {name}; leave one of them out.'
            )
    return {short: weights[name] for short, name in full_names.items()}


def run_converter(
    description,
    method,
    config,
    fits,
    public_names,
    prepare=lambda weights: weights,
    refuse_variant=lambda weights, generator: None,
    any_file=False,
):
    """Runs a converter's command line: PUBLIC OUT [--config CONFIG] [--force].

    Args:
        description: The converter's help.
        method: What the network is called.
        config: The config that the weights are for, unless another one is given.
        fits: Tells whether a config's ``model.encdec`` is of this method.
        public_names: Gives, for the network, its public names, each with the name in the network.
        prepare: Takes out of the public names what differs between the method's public checkpoints.
        refuse_variant: Raises a ValueError where the weights are those of another variant of the method.
        any_file: Whether the weights may also be in TorchScript, or beside objects of other packages.
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

    from cainet_mm.deploy.conversion import read_weights, rename_strictly, write_checkpoint
    from cainet_mm.deploy.public_files import read_public_weights
    from cainet_mm.deploy.publishing import plain_config
    from cainet_mm.inference.published import CONFIG_KEY

    init_default_scope('mmagic')
    chosen = Config.fromfile(args.config)
    encdec = chosen.get('model', {}).get('encdec', {})
    if not fits(encdec):
        tool.refuse(f'--config {args.config} is not one of {method}; take {config.name} or one that inherits from it.')
    # within a UnitRangeGenerator, or by itself
    wrapped = 'generator' in encdec
    generator = MODELS.build(encdec.generator if wrapped else encdec)
    prefix = 'generator.generator.' if wrapped else 'generator.'
    try:
        weights = prepare((read_public_weights if any_file else read_weights)(args.public))
        refuse_variant(weights, generator)
        weights = rename_strictly(weights, public_names(generator), generator, str(args.public))
        # where the inpaintor has it
        weights = {f'{prefix}{name}': value for name, value in weights.items()}
        meta = {'converted_from': args.public.name, CONFIG_KEY: plain_config(chosen)}
        write_checkpoint(weights, args.out, meta, args.force)
    except (ValueError, OSError) as error:
        tool.refuse(error)
    print(f'{args.out}: {len(weights)} tensors of {method}, and the config of its model.')

"""What the converters of public checkpoints share: arguments, reading, strict renaming, writing."""

import argparse
import re
from pathlib import Path

from _command import CONFIGS, Tool, import_package


def rename(weights, new_names):
    """Gives weights new names, by their old ones; ValueError where two would have the same."""
    old_names = {}
    for old, new in new_names.items():
        if old_names.setdefault(new, old) != old:
            raise ValueError(f'{new} is there twice, as {old_names[new]} and as {old}; leave one of them out.')
    return {new: weights[old] for new, old in old_names.items()}


def take_marked(weights, pattern):
    """Takes out of a file the weights whose names match, under the first group of the match."""
    matches = {name: re.fullmatch(pattern, name) for name in weights}
    return rename(weights, {name: match[1] for name, match in matches.items() if match})


def names_of_weights(generator, layers):
    """The public names of a generator's weights, each with our own; layers have our layers by their public names."""
    public = {ours: public for public, ours in layers.items()}
    weights = (name.rsplit('.', 1) for name in generator.state_dict())
    return {f'{public[layer]}.{kind}': f'{layer}.{kind}' for layer, kind in weights}


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
    import_package()
    from mmagic.registry import MODELS
    from mmengine.registry import init_default_scope

    from cainet_mm.deploy.conversion import rename_strictly, write_checkpoint
    from cainet_mm.deploy.public_files import read_public_weights
    from cainet_mm.deploy.publishing import plain_config
    from cainet_mm.inference.configs import read_config, require_model
    from cainet_mm.inference.published import CONFIG_KEY
    from cainet_mm.utils.checkpoint_io import read_weights

    init_default_scope('mmagic')
    try:
        chosen = read_config(args.config)
        require_model(chosen, f'--config {args.config}')
    except ValueError as error:
        tool.refuse(error)
    encdec = chosen.model.get('encdec', {})
    if not fits(encdec):
        tool.refuse(f'--config {args.config} is not one of {method}; take {config.name} or one that inherits from it.')
    # within a UnitRangeGenerator, or not
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

"""Turns a public MI-GAN checkpoint into one of this package: python tools/convert_migan.py PUBLIC OUT

    python tools/convert_migan.py migan_512_places2.pt work_dirs/migan/512.pth --config configs/baselines/migan_512.py
    python tools/inpaint.py photo.jpg mask.png -o filled.png --config configs/baselines/migan_512.py \\
        --checkpoint work_dirs/migan/512.pth

PUBLIC holds the weights of MI-GAN's generator for inference, or is the TorchScript file of it. Nothing in it is run.
Every one of them has to find its place, and every place its weights.
"""

import re

from _conversion import CONFIGS, run_converter, take_marked

CONFIG = CONFIGS / 'baselines' / 'migan_256.py'
# parts of a separable convolution: ours, and the authors' names
PARTS = {
    'depthwise': 'conv1',
    'downsample': 'downsample.filter',
    'pointwise': 'conv2',
    'upsample.filter': 'upsample.filter',
}


def plain_weights(weights):
    """Takes off what a file has before the networks' names, and patterns' leading axes of one."""
    inner = take_marked(weights, r'(?:.*\.)?((?:encoder|synthesis)\.b\d+\..+)')
    if len(inner) < len(weights):
        # something is left over, which is said with the names as they are
        return weights
    axes = dict(filter_const=4, noise_const=2)
    for name, value in inner.items():
        wanted = axes.get(name.rpartition('.')[2])
        if wanted and value.ndim >= 2 and value.numel() == value.shape[-1] ** 2:
            inner[name] = value.reshape(*[1] * (wanted - 2), *value.shape[-2:])
    return inner


def public_names(generator):
    """The names of MI-GAN's authors, each with the name in our generator."""
    return {public_name(name, generator.size): name for name in generator.state_dict()}


def public_name(name, size):
    """The authors' name of one of our weights."""
    if name.startswith('from_rgb.'):
        return f'encoder.b{size}.fromrgb.{name.removeprefix("from_rgb.")}'
    network, side, *rest = name.split('.')
    start, rest = f'{dict(decoder="synthesis").get(network, network)}.b{side}', '.'.join(rest)
    if rest.endswith('.kept'):
        return f'{start}.{rest.removesuffix("kept")}filter_const'
    if rest.endswith('.noise'):
        return f'{start}.{rest}_const'
    if rest.endswith('.noise_strength'):
        return f'{start}.{rest}'
    place, kind = rest.rsplit('.', 1)
    conv, _, part = place.partition('.')
    conv = dict(to_rgb='torgb').get(conv, conv)
    part = part if conv == 'upsample' else PARTS.get(part, part)
    return '.'.join(filter(None, (start, conv, part, kind)))


def refuse_variant(weights, generator):
    """Raises ValueError for the weights for images of another size."""
    sides = [int(match[1]) for match in (re.match(r'(?:.*\.)?encoder\.b(\d+)\.', name) for name in weights) if match]
    if sides and max(sides) != generator.size:
        fitting = f'configs/baselines/migan_{max(sides)}.py' if max(sides) in (256, 512) else 'a config of that size'
        raise ValueError(
            f'PUBLIC holds a MI-GAN for images of {max(sides)} pixels, and the config has {generator.size}; take '
            f'--config {fitting}.'
        )


def is_migan(encdec):
    """Tells whether a generator is MI-GAN, of whatever size."""
    return encdec.get('type') == 'MIGANGenerator'


def main():
    run_converter(__doc__, 'MI-GAN', CONFIG, is_migan, public_names, plain_weights, refuse_variant, any_file=True)


if __name__ == '__main__':
    main()

"""Turns a public LaMa checkpoint into one of this package: python tools/convert_lama.py PUBLIC OUT

    python tools/convert_lama.py big-lama.pt work_dirs/lama/big.pth \\
        --config configs/baselines/lama_big_4xb8-500k_places2-256x256.py
    python tools/test.py configs/baselines/lama_big_4xb8-500k_places2-256x256.py work_dirs/lama/big.pth

PUBLIC is a training checkpoint of LaMa's authors, the TorchScript file of its generator, or weights alone. Nothing in
it is run. Every weight of the generator has to find its place, and every place its weights; what else a training
checkpoint holds, such as the critic and the networks of its losses, is left out.
"""

import re

from _conversion import CONFIGS, names_of_weights, run_converter, take_marked

CONFIG = CONFIGS / 'baselines' / 'lama_4xb8-500k_places2-256x256.py'
# parts of a layer: the authors' names, and ours
PARTS = {
    'ffc.convl2l': 'local_to_local',
    'ffc.convl2g': 'local_to_global',
    'ffc.convg2l': 'global_to_local',
    'ffc.convg2g.conv1.0': 'global_to_global.reduce.conv',
    'ffc.convg2g.conv1.1': 'global_to_global.reduce.bn',
    'ffc.convg2g.fu.conv_layer': 'global_to_global.unit.mix.conv',
    'ffc.convg2g.fu.bn': 'global_to_global.unit.mix.bn',
    'ffc.convg2g.conv2': 'global_to_global.expand',
    'bn_l': 'local_norm',
    'bn_g': 'global_norm',
}


def generator_of(weights):
    """Takes the generator's weights out of a file, under names from ``model.`` on."""
    return take_marked(weights, r'(?:.*\.)?generator\.(model\..+)') or weights


def public_names(generator):
    """The names of LaMa's authors, each with the name in our generator.

    Theirs are indices in one sequence, which also counts layers without weights: the padding at either end, the joining
    of the branches behind the blocks, and the activations.
    """
    downs, blocks, ups = (len(layers) for layers in (generator.downs, generator.blocks, generator.ups))
    places = {'model.1': 'stem', **{f'model.{2 + index}': f'downs.{index}' for index in range(downs)}}
    for index in range(blocks):
        for conv in ('conv1', 'conv2'):
            places[f'model.{2 + downs + index}.{conv}'] = f'blocks.{index}.{conv}'
    layers = {f'{public}.{part}': f'{ours}.{name}' for public, ours in places.items() for part, name in PARTS.items()}
    first = 3 + downs + blocks
    for index in range(ups):
        layers[f'model.{first + 3 * index}'] = f'ups.{index}.conv'
        layers[f'model.{first + 3 * index + 1}'] = f'ups.{index}.bn'
    layers[f'model.{first + 3 * ups + 1}'] = 'to_image'
    return names_of_weights(generator, layers)


def refuse_variant(weights, generator):
    """Raises ValueError for the weights of a LaMa of another number of blocks, or with local Fourier units."""
    blocks = len({name.split('.')[1] for name in weights if re.match(r'model\.\d+\.conv1\.', name)})
    ours = len(generator.blocks)
    if blocks != ours:
        fitting = {9: 'lama_4xb8-500k_places2-256x256.py', 18: 'lama_big_4xb8-500k_places2-256x256.py'}.get(blocks)
        advice = f'take --config configs/baselines/{fitting}' if fitting else 'give a config with as many as --config'
        raise ValueError(f'PUBLIC holds a LaMa of {blocks} blocks, and the config has {ours}; {advice}.')
    if any('.lfu.' in name for name in weights):
        raise ValueError('PUBLIC holds a LaMa with local Fourier units, which the networks here do not have.')


def is_lama(encdec):
    """Tells whether a generator is LaMa, of whatever size."""
    return encdec.get('generator', {}).get('type') == 'LaMaGenerator'


def main():
    run_converter(__doc__, 'LaMa', CONFIG, is_lama, public_names, generator_of, refuse_variant, any_file=True)


if __name__ == '__main__':
    main()

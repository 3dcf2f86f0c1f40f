"""Turns a public DFNet checkpoint into one of this package: python tools/convert_dfnet.py PUBLIC OUT

    python tools/convert_dfnet.py model_places2.pth work_dirs/dfnet/places2.pth
    python tools/test.py configs/baselines/dfnet_4xb8-500k_places2-256x256.py work_dirs/dfnet/places2.pth

PUBLIC holds DFNet's weights under the names of its authors' implementation. Every one of them has to find its place,
and every place its weights.
"""

import re

from _conversion import CONFIGS, names_of_weights, rename, run_converter

CONFIG = CONFIGS / 'baselines' / 'dfnet_4xb8-500k_places2-256x256.py'
# where the authors' modules hold a convolution: itself, or behind a layer that pads
NESTED_CONV = re.compile(r'\.(\d+)\.conv(?:\.1)?\.(weight|bias)$')


def plain_names(weights):
    """Takes out of the authors' names whether a convolution is padded by a layer before it."""
    return rename(weights, {name: NESTED_CONV.sub(r'.\1.\2', name) for name in weights})


def public_names(generator):
    """The names of DFNet's authors, made plain, each with the name in our generator."""
    places = {}
    for stage in range(len(generator.encoder.stages)):
        places[f'en_{stage}.encode.0'] = f'encoder.stages.{stage}.conv'
        places[f'en_{stage}.encode.1'] = f'encoder.stages.{stage}.bn'
    for layer in range(len(generator.decoder.layers)):
        places[f'de_{layer}.decode.0'] = f'decoder.layers.{layer}.conv'
        places[f'de_{layer}.decode.1'] = f'decoder.layers.{layer}.bn'
    for scale in range(len(generator.decoder.fusions)):
        public, ours = f'fuse_{scale}', f'decoder.fusions.{scale}'
        places[f'{public}.map2img.0'] = f'{ours}.to_image'
        for index, name in ((0, '0.conv'), (1, '0.bn'), (3, '1.conv'), (4, '1.bn'), (6, '2')):
            places[f'{public}.blend.blend.{index}'] = f'{ours}.attend.{name}'
    return names_of_weights(generator, places)


def is_dfnet(encdec):
    """Tells whether a generator is DFNet, of whatever widths."""
    fusion = encdec.get('generator', {}).get('decoder', {}).get('fusion', {})
    return encdec.get('type') == 'UnitRangeGenerator' and fusion.get('type') == 'AlphaFusion'


def main():
    run_converter(__doc__, 'DFNet', CONFIG, is_dfnet, public_names, plain_names)


if __name__ == '__main__':
    main()

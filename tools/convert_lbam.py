"""Turns a public LBAM checkpoint into one of this package: python tools/convert_lbam.py PUBLIC OUT

    python tools/convert_lbam.py LBAM_NoBN_Places10Classes.pth work_dirs/lbam/places2.pth
    python tools/test.py configs/baselines/lbam_4xb8-500k_places2-256x256.py work_dirs/lbam/places2.pth

PUBLIC holds LBAM's weights under the names of its authors' implementation. Every one of them has to find its place, and
every place its weights. OUT holds the generator; the critic, which only training needs, is not published.
"""

from _conversion import CONFIGS, run_converter

CONFIG = CONFIGS / 'baselines' / 'lbam_4xb8-500k_places2-256x256.py'


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


def is_lbam(encdec):
    """Tells whether a generator is LBAM, of whatever widths."""
    return encdec.get('generator', {}).get('type') == 'LBAMGenerator'


def main():
    run_converter(__doc__, 'LBAM', CONFIG, is_lbam, lambda generator: public_names(len(generator.encoder)))


if __name__ == '__main__':
    main()

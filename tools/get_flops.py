"""Counts a model's operations and parameters: python tools/get_flops.py CONFIG [--size HEIGHT WIDTH]

An inpaintor is counted as it fills one image; of stage 1, the encoder is.
"""

import argparse

from _command import Tool, find_config, import_package


def main():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('config', type=find_config, help='config of the model')
    tool.add_argument('--size', nargs=2, type=int, default=(256, 256), metavar=('HEIGHT', 'WIDTH'))
    args = tool.parse_args()
    tool.require_file(args.config, 'config')
    if min(args.size) < 1:
        tool.refuse(f'--size takes a height and a width from 1 up, got {args.size[0]} {args.size[1]}.')
    import_package()
    from cainet_mm.apis import describe_complexity, load_model

    try:
        model = load_model(args.config)
        counted = describe_complexity(model, tuple(args.size))
    except (ValueError, RuntimeError) as error:
        tool.refuse(f'{args.config} at {args.size[0]}x{args.size[1]} pixels: {error}')
    print(counted['out_table'])
    print(f'{args.config} at {args.size[0]}x{args.size[1]} pixels')
    print(f'multiply-adds: {counted["flops_str"]}')
    print(f'parameters:    {counted["params_str"]}')
    if getattr(model, 'disc', None) is not None:
        critic = sum(weight.numel() for weight in model.disc.parameters())
        print(f'of which the critic, not used for inference: {critic / 1e6:.3f}M')


if __name__ == '__main__':
    main()

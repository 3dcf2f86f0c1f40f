"""Writes a network to a file that runs without this package: python tools/export.py [CONFIG CHECKPOINT] OUT.onnx

    python tools/export.py photos.onnx                                    # the network that comes with the package
    python tools/export.py lama.onnx --model lama
    python tools/export.py CONFIG CHECKPOINT cainet.onnx [--scales] [--opset 17]
    python tools/export.py - PUBLISHED cainet.onnx                        # a file of tools/publish_model.py
    python tools/export.py CONFIG CHECKPOINT cainet.pt --format torchscript
    python tools/export.py CONFIG CHECKPOINT deepfill.onnx --fixed --size 256 256
    python tools/export.py photos.onnx --dtype int8 [--photos FOLDER]

The file takes `image`, RGB in [-1, 1], (N, 3, H, W), and `mask`, 1 in the hole, (N, 1, H, W), and returns
`filled`, known pixels put back. Number and sizes of images are free, unless --fixed. The file is compared with PyTorch
at several sizes, and is there only when it passed. With --dtype float16 or int8, its size, time and PSNR are measured
compared with float32, on photographs, and a file that returns something else is not written.
"""

import argparse

from _command import Tool, find_config, import_package


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument(
        'files',
        nargs='+',
        metavar='FILE',
        help='OUT: name.onnx, name.pt (TorchScript) or name.pt2 (torch.export). Before it, for a network without a '
        'name, CONFIG, - for that which the checkpoint holds, and CHECKPOINT, of training or tools/publish_model.py',
    )
    tool.add_argument('--model', metavar='NAME', help='network that has a name (default: cainet-photos)')
    tool.add_argument('--format', choices=['onnx', 'torchscript', 'torch_export'], default='onnx')
    tool.add_argument('--opset', type=int, help="version of ONNX's operators (default: the lowest that is needed)")
    tool.add_argument(
        '--size',
        nargs=2,
        type=int,
        metavar=('HEIGHT', 'WIDTH'),
        help='what to trace with (default: the size of the training)',
    )
    tool.add_argument('--fixed', action='store_true', help='one image of that size alone, where no other way is found')
    tool.add_argument('--scales', action='store_true', help="also return the network's own image at every scale")
    tool.add_argument('--no-check', action='store_true', help='do not compare with PyTorch')
    tool.add_argument('--tolerance', type=float, default=1e-4, help='what may differ in [-1, 1] (default: 0.0001)')
    tool.add_argument(
        '--dtype', choices=['float32', 'float16', 'int8'], default='float32', help='precision of an ONNX file'
    )
    tool.add_argument(
        '--photos', metavar='FOLDER', help='photographs for float16 and int8 (default: the sample photographs)'
    )
    return tool


def parse(tool):
    """Parses the command line; the model's config and checkpoint are None where it has a name."""
    # options may stand between the files
    args = tool.parse_intermixed_args()
    *model, args.out = args.files
    if len(model) not in (0, 2):
        tool.refuse(f'the files are [CONFIG CHECKPOINT] OUT, got {" ".join(args.files)}.')
    if model and args.model is not None:
        tool.refuse('--model names a network by itself; give it, or CONFIG and CHECKPOINT.')
    args.config, args.checkpoint = model or (None, None)
    if args.config not in (None, '-'):
        args.config = find_config(args.config)
        tool.require_file(args.config, 'config')
    tool.require_file(args.checkpoint, 'checkpoint')
    if args.photos is not None and args.dtype == 'float32':
        tool.refuse('--photos is for --dtype float16 or int8, which are measured on photographs.')
    return args


def main():
    tool = make_tool()
    args = parse(tool)
    import_package()
    from cainet_mm.apis import DEFAULT_MODEL, export, load_model
    from cainet_mm.utils.errors import describe_error

    if args.checkpoint is None:
        args.config = args.model or DEFAULT_MODEL
    try:
        model = load_model(None if args.config == '-' else args.config, args.checkpoint)
        exported = export(
            model,
            args.out,
            args.format,
            size=args.size,
            fixed=args.fixed,
            scales=args.scales,
            opset=args.opset,
            check=not args.no_check,
            tolerance=args.tolerance,
            dtype=args.dtype,
            photos=args.photos,
        )
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        tool.refuse(describe_error(error))
    print(f'{exported.path}: {exported.path.stat().st_size / 1e6:.1f} MB, by {exported.way}')
    print(f'It takes {exported.metadata["sizes"]}.')
    if exported.checked:
        sizes = ', '.join('x'.join(map(str, shape)) for shape in exported.checked)
        print(f'Largest difference from PyTorch: {exported.difference:.2g}, allowed {exported.allowed:.2g}; at {sizes}')
        if exported.allowed > args.tolerance:
            itself = f'{exported.allowed / 2:.2g}'
            print(f'This network amplifies rounding errors: PyTorch differs from itself by up to {itself}.')
    else:
        print('It was not compared with PyTorch.')
    if exported.measured is not None:
        print(describe(args.dtype, exported.measured))


def describe(dtype, measured):
    """Describes size, time and accuracy in lower precision."""
    lines = [f'{measured.images} images of {measured.size[0]}x{measured.size[1]}, in the same run:']
    for name, size, time in zip(('float32', dtype), measured.megabytes, measured.milliseconds, strict=True):
        lines.append(f'{name:>8} {size:7.1f} MB {time:8.1f} ms per image')
    return '\n'.join(lines) + f', {measured.psnr:.1f} dB PSNR against float32 in the holes'


if __name__ == '__main__':
    main()

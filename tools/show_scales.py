"""Shows what a trained network does at every scale: the paper's Fig. 6 and the alpha maps.

    python tools/show_scales.py CONFIG CHECKPOINT OUT_DIR IMAGE [IMAGE ...] [--masks MASK [MASK ...]]

OUT_DIR receives scales.png (input, the outputs from the coarsest to the finest scale, final, truth) and, for fusions
that have one, alphas.png (the alpha map of every scale: white where the decoder's image is taken, black where the input
is). A mask is an image of its photograph's size, bright in the hole (else --hole-value, --invert). Without masks, each
photograph is cropped to the image size of the config and gets a mask that depends on its file name alone.
"""

import argparse
from pathlib import Path

from _command import Tool, find_config, import_package


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('config', type=find_config, help='config of the model')
    tool.add_argument('checkpoint')
    tool.add_argument('out_dir', type=Path)
    tool.add_argument('images', nargs='+', metavar='IMAGE')
    tool.add_argument('--masks', nargs='+', metavar='MASK', help='one for each image, in the same order')
    tool.add_mask_arguments()
    tool.add_device_argument()
    return tool


def parse(tool):
    """Parses the command line and refuses what cannot work before anything slow is imported."""
    args = tool.parse_args()
    tool.require_file(args.config, 'config')
    tool.require_file(args.checkpoint, 'checkpoint')
    for path in args.images:
        tool.require_file(path, 'image')
    for path in args.masks or ():
        tool.require_file(path, 'mask')
    if args.masks and len(args.masks) != len(args.images):
        tool.refuse(f'--masks takes one mask for each image, got {len(args.masks)} for {len(args.images)}.')
    return args


def read_image(tool, path):
    import mmcv

    image = mmcv.imread(path, channel_order='rgb')
    if image is None:
        tool.refuse(f'{path} is no image that can be decoded (JPEG, PNG, BMP, TIFF, WebP are).')
    return image


def crop_to(tool, image, size, path):
    """Reduces a photograph to the size along one side and cuts its centre out."""
    import mmcv

    height, width = size
    if image.shape[0] < height or image.shape[1] < width:
        tool.refuse(f'{path} is {image.shape[0]}x{image.shape[1]} pixels, smaller than {height}x{width}; give a mask.')
    scale = max(height / image.shape[0], width / image.shape[1])
    image = mmcv.imrescale(image, scale, interpolation='area')
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def main():
    tool = make_tool()
    args = parse(tool)
    import_package()
    from mmengine.config import Config
    from mmengine.registry import TRANSFORMS
    from tqdm import tqdm

    from cainet_mm.apis import load_model, picture_scales
    from cainet_mm.datasets import read_hole
    from cainet_mm.evaluation import write_montage

    config = Config.fromfile(args.config)
    if args.masks is None and 'draw_fixed_mask' not in config:
        tool.refuse(f'{args.config} has no draw_fixed_mask to draw masks with; give --masks.')
    rows = {'scales': [], 'alphas': []}
    try:
        model = load_model(config, args.checkpoint, device=tool.choose_device(args.device))
        draw = None if args.masks else TRANSFORMS.build(config.draw_fixed_mask)
        for index, path in enumerate(tqdm(args.images, unit='image')):
            image = read_image(tool, path)
            if args.masks:
                hole = read_hole(args.masks[index], args.hole_value, args.invert)
            else:
                image = crop_to(tool, image, config.image_size, path)
                hole = draw(dict(key=Path(path).name))['mask'][..., 0] > 0
            pictures = picture_scales(model, image, hole)
            rows['scales'].append([pictures.masked, *pictures.outputs, pictures.final, image])
            rows['alphas'].append([pictures.masked, *pictures.alphas, image])
    except (FileNotFoundError, ValueError) as error:
        tool.refuse(error)
    numbers = [str(scale) for scale in range(len(pictures.outputs), 0, -1)]
    titles = {
        'scales': ['input', *(f'scale {number}' for number in numbers), 'final', 'truth'],
        'alphas': ['input', *(f'alpha {number}' for number in numbers), 'truth'],
    }
    for name in ('scales', 'alphas') if pictures.alphas else ('scales',):
        write_montage(titles[name], rows[name], args.out_dir / f'{name}.png')
        print(args.out_dir / f'{name}.png')


if __name__ == '__main__':
    main()

"""Makes hole masks of the objects in photographs: python tools/annotation_masks.py PHOTOS OUT [options]

    python tools/annotation_masks.py photos/ masks/ --annotations instances.json --classes person --grow 8
    python tools/annotation_masks.py photos/ masks/ --annotations Annotations/ --classes car bus
    python tools/annotation_masks.py photos/ masks/ --annotations label_maps/ --names classes.txt --classes sky
    python tools/annotation_masks.py photos/ masks/ --detector CONFIG CHECKPOINT --classes person
    python tools/inpaint.py photos/ masks/ -o filled/

Annotations are a COCO JSON of instances, a folder of VOC's XML files, or one of label maps, PNGs that are named as the
photographs. A detector is any model of MMDetection or MMSegmentation, where these are installed. OUT receives a mask,
255 in the hole, for each photograph with such an object: a_mask.png for a.jpg.
"""

import argparse
from pathlib import Path

from _command import Tool, import_package


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('photos', type=Path, metavar='PHOTOS', help='folder of photographs')
    tool.add_argument('out', type=Path, metavar='OUT', help='folder for the masks')
    source = tool.add_mutually_exclusive_group(required=True)
    source.add_argument('--annotations', type=Path, help='COCO JSON, or folder of XML files or label maps')
    source.add_argument('--detector', nargs=2, metavar=('CONFIG', 'CHECKPOINT'), help='model that finds the objects')
    tool.add_argument('--classes', nargs='+', default=[], metavar='NAME', help='classes that are holes')
    tool.add_argument('--instances', nargs='+', type=int, default=[], metavar='ID', help='ids of annotations of COCO')
    tool.add_argument('--names', type=Path, help='names of the values of label maps from 0 on, one a line')
    tool.add_argument('--grow', type=int, default=0, metavar='PIXELS', help='how much larger holes are than objects')
    tool.add_argument('--empty-masks', action='store_true', help='also write masks without a hole, for the others')
    tool.add_argument('--score', type=float, default=0.3, help='the least score of a detection (default: %(default)s)')
    tool.add_argument('--device', default='cpu', help='of the detector: cpu (default), cuda, ...')
    return tool


def main():
    tool = make_tool()
    args = tool.parse_args()
    if not args.photos.is_dir():
        tool.refuse(f'PHOTOS {args.photos} is no folder; give one with photographs.')
    if not args.classes and (args.detector or not args.instances):
        tool.refuse('nothing is chosen; name --classes, or --instances of a COCO JSON.')
    if args.instances and args.detector:
        tool.refuse('--instances are ids of annotations of COCO, which a --detector has none of; name --classes alone.')
    if args.names and (args.detector or args.annotations.is_file()):
        tool.refuse(
            f'--names {args.names} is for a folder of label maps; COCO and a --detector have names of their own.'
        )
    if args.grow < 0:
        tool.refuse(f'--grow takes a number of pixels from 0 up, got {args.grow}.')
    import_package()
    from cainet_mm.datasets import object_masks
    from cainet_mm.datasets.annotations import read_annotations
    from cainet_mm.utils.errors import describe_error
    from cainet_mm.utils.files import write_file

    try:
        names = object_masks.list_photos(args.photos, args.out)
        if args.detector:
            finder = object_masks.load_finder(*args.detector, args.classes, args.device, args.score)
            masks = object_masks.masks_of_detector(args.photos, names, finder, args.classes, args.grow)
        else:
            annotations = read_annotations(args.annotations, args.names)
            masks = object_masks.masks_of_annotations(
                args.photos, names, annotations, args.classes, args.instances, args.grow
            )
        files, without = object_masks.name_masks(masks, args.photos, args.empty_masks)
        for place, content in files.items():
            write_file(args.out / place, content)
    except (OSError, ValueError) as error:
        tool.refuse(describe_error(error))
    print(
        f'{len(names) - len(without)} of {len(names)} photographs have such an object; {args.out}: {len(files)} masks.'
    )
    if without:
        print(f'{len(without)} have none, such as {without[0]}.')
    # those of an earlier run with other classes, say
    old = object_masks.masks_from_before(args.out, names, files) if args.out.is_dir() else []
    if old:
        tool.stop(f'{len(old)} masks of these photographs were in {args.out} before, such as {old[0]}; remove them.')


if __name__ == '__main__':
    main()

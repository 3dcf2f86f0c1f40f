"""Trains the network of configs/photos on a folder of photographs, from nothing to a file that fills holes.

    bash tools/train_photos.sh PHOTOS OUT [--minutes N] [--held-out LIST_OR_FOLDER] [--size 128|256]

It lists the photographs in PHOTOS and in the folders below it and holds some of them out, trains stage 1, then stage 2
at 64, 128 and 256 pixels, and publishes the weights as OUT/cainet-photos-HASH.safetensors. Each validation says the
PSNR in the holes of the photographs held out, and that of methods that learn nothing on the same holes.

The same command goes on where it was stopped: stages that are finished are not trained again, and what was begun goes
on from its last checkpoint. Lists of your own go to OUT/lists/train.txt and test.txt before the first start: one name a
line, below PHOTOS, and none in both; a name that stands there twice is drawn twice as often. On a GPU batches are four
times as large.
"""

import argparse
import json
import os
import signal
import tempfile
from pathlib import Path

import train
from _budgets import make_trial, mean_time, set_length
from _command import Tool, import_package
from mmengine.config import DictAction

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
# the stages, and what share of --minutes each gets, in percent
STAGES = dict(stage1_64=5, stage2_64=50, stage2_128=40, stage2_256=5)
BASELINES = {'Telea': 'telea.py', 'Navier-Stokes': 'navier_stokes.py', 'edge fill': 'edge_fill.py'}
# the arguments of the training in a folder
NOTED = 'arguments.json'
# of photographs that nobody named: every tenth, as one validation should take seconds
MOST_HELD_OUT = 100
FEWEST = 8


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('photos', type=Path, metavar='PHOTOS', help='folder of photographs, in folders below it or not')
    tool.add_argument('out', type=Path, metavar='OUT', help='where everything goes')
    tool.add_argument(
        '--minutes',
        type=float,
        help='how long to train in all, validation left out; without it, as long as the configs say',
    )
    tool.add_argument(
        '--held-out',
        type=Path,
        metavar='LIST_OR_FOLDER',
        help='photographs to validate on: a text file of names below PHOTOS, or a folder, there or elsewhere '
        f'(default: a tenth of PHOTOS, at most {MOST_HELD_OUT}, the same in every run)',
    )
    tool.add_argument('--size', type=int, choices=(128, 256), default=256, help='of the last stage (default: 256)')
    tool.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='values that replace those of the config of every stage, such as train_dataloader.num_workers=4',
    )
    return tool


def parse(tool, arguments):
    """Parses the command line and refuses what cannot work before anything slow is imported."""
    args = tool.parse_args(arguments)
    if not args.photos.is_dir():
        tool.refuse(f'PHOTOS {args.photos} is no folder (looked in {os.getcwd()}); give one with photographs.')
    if args.held_out is not None and not args.held_out.exists():
        tool.refuse(f'--held-out {args.held_out} does not exist; give a text file of names, or a folder.')
    if args.minutes is not None and not args.minutes > 0:
        tool.refuse(f'--minutes takes a number above 0, got {args.minutes:g}.')
    return args


def claim_folder(tool, args):
    """Makes OUT, and refuses to mix the training in it with one of other arguments; returns what to note there."""
    given = {key: os.path.abspath(value) if isinstance(value, Path) else value for key, value in vars(args).items()}
    del given['out']
    given = json.loads(json.dumps(given))
    noted = args.out / NOTED
    try:
        args.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        tool.refuse(f'OUT {args.out} cannot be written ({error.strerror}); name another folder.')
    known = json.loads(noted.read_text()) if noted.is_file() else given
    others = [f'{key} {known.get(key)}, now {given[key]}' for key in given if known.get(key) != given[key]]
    if others:
        tool.refuse(f'{args.out} holds a training with other arguments ({"; ".join(others)}); name another OUT.')
    return given


def folder_of_held_out(photos, held_out):
    """The folder that names in test.txt are relative to; a folder elsewhere has names of its own."""
    is_elsewhere = held_out is not None and held_out.is_dir() and not is_below(held_out, photos)
    return held_out if is_elsewhere else photos


def is_below(folder, above):
    """Whether a folder is another or below it, as they are written: links count as folders."""
    return Path(os.path.abspath(folder)).is_relative_to(os.path.abspath(above))


def split_photos(photos, held_out, out):
    """Divides photographs into those to train on and those to validate on.

    Returns the names in the lists ``train`` and ``test``, relative to PHOTOS and to ``folder_of_held_out``. No file is
    in both, under whatever name.

    Raises:
        PreparationError: There are no photographs.
    """
    from cainet_mm.datasets.preparation import Part, divide, list_part
    from cainet_mm.utils.photo_paths import read_names

    everything = Part('train', ('',))
    names = list_part(photos, everything, out)
    if held_out is None:
        return divide(names, min(MOST_HELD_OUT, max(1, len(names) // 10)), seed=0)
    root = folder_of_held_out(photos, held_out)
    if held_out.is_dir():
        prefix = Path(os.path.relpath(held_out, root))
        test = [(prefix / name).as_posix() for name in list_part(held_out, everything, out)]
    else:
        test = read_names(held_out, str(root))
    held = {(root / name).resolve() for name in test}
    return dict(train=[name for name in names if (photos / name).resolve() not in held], test=test)


def check_own_lists(tool, args, paths):
    """Refuses lists that were there before the first start, and have photographs in both or stand beside --held-out."""
    from cainet_mm.utils.photo_paths import read_names

    if args.held_out is not None:
        tool.refuse(
            f'{paths["test"]} is there, and names what is held out; leave out --held-out, or remove both lists.'
        )
    try:
        train, test = (
            {(args.photos / name).resolve(): name for name in read_names(paths[key], str(args.photos))}
            for key in ('train', 'test')
        )
    except (OSError, ValueError) as error:
        tool.refuse(error)
    shared = [name for path, name in test.items() if path in train]
    if shared:
        tool.refuse(
            f'{shared[0]} is in both lists of {paths["train"].parent}, as are {len(shared)} in all; take it out of one.'
        )


def prepare_lists(tool, args):
    """Writes the lists of photographs, unless they are there; returns how many photographs each names."""
    from tqdm import tqdm

    from cainet_mm.datasets.preparation import write_verified

    lists = args.out / 'lists'
    paths = {name: lists / f'{name}.txt' for name in ('train', 'test')}

    def require_enough(number):
        if number < FEWEST:
            tool.refuse(
                f'{args.photos} has {number} photographs of {args.size} pixels or more to train on, besides those held '
                f'out; it takes at least {FEWEST}, and thousands are better.'
            )

    there = [path for path in paths.values() if path.is_file()]
    if len(there) == 1:
        tool.refuse(f'{there[0]} is there alone; put train.txt and test.txt there, or none for both to be written.')
    if there and not (args.out / NOTED).is_file():
        check_own_lists(tool, args, paths)
    if not there:
        try:
            images = split_photos(args.photos, args.held_out, args.out)
            require_enough(len(images['train']))
            roots = dict(train=args.photos, test=folder_of_held_out(args.photos, args.held_out))
            kept, _ = write_verified(
                images,
                roots,
                lists,
                args.size,
                track=lambda images, name, total: tqdm(images, desc=name, total=total, unit='image'),
            )
        except (OSError, ValueError) as error:
            tool.refuse(error)
        if len(kept.kept) < FEWEST:
            # both are written again when there are more photographs
            for path in paths.values():
                path.unlink()
        require_enough(len(kept.kept))
    return {name: len(path.read_text(encoding='utf-8').splitlines()) for name, path in paths.items()}


def make_config(args, name, start):
    """Puts the config of a stage together.

    Args:
        args: The command line.
        name: The stage.
        start: The last checkpoint of the stage before; ``None`` for the first.
    """
    import torch

    from cainet_mm.apis import read_config

    config = read_config(CONFIGS / 'photos' / f'{name}.py')
    held_out = folder_of_held_out(args.photos, args.held_out)
    loaders = dict(train_dataloader=('train', args.photos), val_dataloader=('test', held_out))
    loaders['test_dataloader'] = loaders['val_dataloader']
    for key, (images, root) in loaders.items():
        loader = config.get(key)
        if loader is None:
            continue
        images = args.out / 'lists' / f'{images}.txt'
        loader.dataset.update(data_root=os.path.abspath(root), ann_file=os.path.abspath(images))
        if torch.cuda.is_available():
            # a GPU is not to wait for photographs
            loader.num_workers = min(8, os.cpu_count())
    if torch.cuda.is_available():
        config.train_dataloader.batch_size *= 4
    if name == 'stage2_64':
        config.model.encdec.encoder.init_cfg.checkpoint = start
    else:
        config.load_from = start
    config.merge_from_dict(args.cfg_options or {})
    config.train_dataloader.persistent_workers = config.train_dataloader.num_workers > 0
    if args.minutes is not None:
        share = STAGES[name] / sum(STAGES[stage] for stage in stages_of(args.size))
        fit_length(config, 60 * args.minutes * share / time_iteration(config))
    if config.get('val_dataloader') is not None:
        print(f'train_photos.py: fills the holes of the photographs held out by {", ".join(BASELINES)}', flush=True)
        config.custom_hooks.append(dict(type='HolePSNRHook', beside=classical_psnr(config)))
    return config


def time_iteration(config):
    """How many seconds a training iteration takes, by a few of which nothing is kept."""
    from mmengine.runner import Runner

    trial = make_trial(config)
    trial.default_hooks.checkpoint = None
    trial.experiment_name = f'trial_{os.urandom(4).hex()}'
    with tempfile.TemporaryDirectory() as folder:
        trial.work_dir = folder
        runner = Runner.from_cfg(trial)
        runner.train()
    return mean_time(runner.message_hub.get_scalar('train/time').data[0])


def fit_length(config, iterations):
    """Gives a stage another number of iterations; a short one averages over fewer steps.

    It is validated five times, but once where that would take longer than the training.
    """
    iterations = max(1, round(iterations))
    set_length(config, iterations)
    interval = -(-iterations // (max(5, iterations // 1000) if iterations >= 50 else 1))
    config.train_cfg.val_interval = config.default_hooks.checkpoint.interval = interval
    for hook in config.custom_hooks:
        if hook.type == 'EMAHook':
            hook.momentum = min(0.5, max(hook.momentum, 10 / iterations))


def classical_psnr(config):
    """PSNR in the hole of methods that learn nothing, on the photographs held out, in dB."""
    from cainet_mm.apis import evaluate_method, load_model, loader_from_config

    loader = loader_from_config(config)
    reached = {}
    for name, file in BASELINES.items():
        result = evaluate_method(load_model(CONFIGS / 'baselines' / file), loader, [dict(type='HolePSNR')])
        reached[name] = round(result.metrics['HolePSNR'], 2)
    return reached


def stages_of(size):
    """The stages of a training up to a size."""
    return [name for name in STAGES if int(name.rpartition('_')[2]) <= size]


def train_stage(args, name, start):
    """Trains a stage, or goes on with it, unless it is finished; returns its config and its last checkpoint."""
    from cainet_mm.apis import read_config
    from cainet_mm.engine.checkpointing import find_whole_checkpoint
    from cainet_mm.utils.files import replacing

    path, folder = args.out / f'{name}.py', args.out / name
    if not path.is_file():
        with replacing(path) as partial:
            make_config(args, name, start).dump(partial)
    config = read_config(path)
    length = config.train_cfg.max_iters
    done = find_whole_checkpoint(folder)
    if done is not None and Path(done).name == f'iter_{length}.pth':
        print(f'train_photos.py: {name} is trained already', flush=True)
        return config, done
    crops = f'{length:,} iterations of {config.train_dataloader.batch_size} crops'
    print(f'train_photos.py: {name}: {crops}{"" if done is None else f", goes on from {done}"}', flush=True)
    train.main([str(path), '--work-dir', str(folder), '--resume'])
    train.listen_to(signal.SIG_DFL)
    return config, find_whole_checkpoint(folder)


def publish_last(args, config, checkpoint, counts, seen):
    """Validates the last stage's network and writes its weights; returns the file and what it reached."""
    import torch

    from cainet_mm.apis import evaluate_method, load_model, loader_from_config, publish

    model = load_model(config, checkpoint, 'cuda' if torch.cuda.is_available() else 'cpu')
    result = evaluate_method(model, loader_from_config(config), [dict(type='HolePSNR')])
    (beside,) = [hook.beside for hook in config.custom_hooks if hook.type == 'HolePSNRHook']
    others = ', '.join(f'{name} {value:.2f}' for name, value in beside.items())
    reached = (
        f'{result.metrics["HolePSNR"]:.2f} dB ({others}) on {len(result.images)} photographs at {args.size} pixels'
    )
    notes = {
        'data': f'{counts["train"]:,} photographs of the folder {args.photos.resolve().name}',
        'training': f'tools/train_photos.py, {", ".join(seen)}',
        'metrics.PSNR in the hole': reached,
    }
    return publish(checkpoint, config, args.out / 'cainet-photos.safetensors', half=True, notes=notes), reached


def main(arguments=None):
    tool = make_tool()
    args = parse(tool, arguments)
    given = claim_folder(tool, args)
    import_package()
    from mmengine.registry import init_default_scope

    from cainet_mm.apis import read_config
    from cainet_mm.engine import TrainingError

    for name in stages_of(args.size):
        tool.merge_options(read_config(CONFIGS / 'photos' / f'{name}.py'), f'{name}.py', args.cfg_options)
    init_default_scope('mmagic')
    counts = prepare_lists(tool, args)
    if not (args.out / NOTED).is_file():
        (args.out / NOTED).write_text(json.dumps(given, indent=2) + '\n')
    print(f'train_photos.py: {counts["train"]:,} photographs to train on, {counts["test"]:,} held out', flush=True)
    checkpoint, seen = None, []
    try:
        for name in stages_of(args.size):
            config, checkpoint = train_stage(args, name, checkpoint)
            seen.append(f'{name} {config.train_cfg.max_iters} x {config.train_dataloader.batch_size} crops')
        published, reached = publish_last(args, config, checkpoint, counts, seen)
    except TrainingError as error:
        tool.stop(error)
    print(f'\ntrain_photos.py: hole PSNR {reached}')
    print(f'train_photos.py: {published}, {published.stat().st_size / 1e6:.1f} MB. To fill a photograph with it:')
    print(f'    python tools/inpaint.py PHOTO MASK -o filled.png --checkpoint {published}')


if __name__ == '__main__':
    main()

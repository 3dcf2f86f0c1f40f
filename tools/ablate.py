"""Trains the methods of a study one after the other at an equal budget, and compares them.

    python tools/ablate.py STUDY OUT_DIR [--images N | --minutes M]

STUDY is a config such as those in configs/studies: it names the data to compare on and the methods, each with the
config that trains it or, for what is trained already, the name of a network, such as cainet-photos. Every method sees
the same number of images (--images), or trains for the same time (--minutes), with the same seed; without either, each
trains for as long as its config says. With --minutes, a few iterations are timed first, and say how many fit. Schedules
keep their shape over the new length. An encoder that methods start from is trained once, by a config of its own, for as
long as that one says; what it saw is shown with the budget.

The command can be repeated after an interruption: what is finished is not trained again, and what was begun goes on
from its last checkpoint. A method whose training fails is reported, and the others go on; the exit status is then 1.

OUT_DIR receives training.md (what each method saw, and how long it took), a folder per method below runs/, and the
comparison: table.md, costs.md, montage.png and the rest (tools/compare.py). Options after -- go to tools/compare.py.
"""

import argparse
import hashlib
import json
import math
import os
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

from _budgets import TRIAL, make_trial, mean_time, require_length, set_length
from _command import Tool, import_package
from mmengine.config import Config

TOOLS = Path(__file__).resolve().parent
METHOD_KEYS = {'config', 'options', 'encoder'}
ENCODER_KEYS = {'config', 'options', 'into'}


def make_tool():
    tool = Tool(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tool.add_argument('study', help='config with the methods and the data, such as configs/studies/smoke.py')
    tool.add_argument('out_dir', type=Path)
    budget = tool.add_mutually_exclusive_group()
    budget.add_argument('--images', type=int, help='how many images each method sees in training, all GPUs together')
    budget.add_argument('--minutes', type=float, help='about how long each method trains, validation left out')
    tool.add_argument('--seed', type=int, default=0, help='seed of every training (default: %(default)s)')
    tool.add_argument('--gpus', type=int, default=1, help='processes of each training (default: %(default)s)')
    tool.add_argument(
        '--amp', action='store_const', const='--amp', default='', help='trains in mixed precision, as train.py does'
    )
    anyway = dict(action='store_const', const='--amp-anyway', dest='amp')
    tool.add_argument('--amp-anyway', **anyway, help='also on a processor on which that is slower than float32')
    return tool


def parse(tool):
    """Parses the command line; everything after -- is for compare.py."""
    arguments = sys.argv[1:]
    place = arguments.index('--') if '--' in arguments else len(arguments)
    args = tool.parse_args(arguments[:place])
    args.for_compare = arguments[place + 1 :]
    tool.require_file(args.study, 'STUDY')
    for name in ('images', 'minutes', 'gpus'):
        if getattr(args, name) is not None and not getattr(args, name) > 0:
            tool.refuse(f'--{name} takes a number above 0, got {getattr(args, name)}.')
    return args


def read_study(tool, path):
    """Reads a study; paths of configs in it are relative to its file."""
    from cainet_mm.inference.zoo import is_name

    study = Config.fromfile(path)
    if not isinstance(study.get('methods'), dict) or not study.methods or 'data' not in study:
        tool.refuse(f'study {path} needs data, a config, and methods, a dict of names with dict(config=...) each.')
    folder = Path(path).resolve().parent

    def locate(config):
        return config if '::' in config or is_name(config) else str((folder / config).resolve())

    study.data = locate(study.data)
    for name, method in study.methods.items():
        if '/' in name:
            tool.refuse(f'study {path} has a method {name!r}; names become folders, so they are without a slash.')
        check_keys(tool, f'method {name}', method, METHOD_KEYS)
        method.config = locate(method.config)
        if 'encoder' in method:
            check_keys(tool, f'encoder of {name}', method.encoder, ENCODER_KEYS)
            method.encoder.config = locate(method.encoder.config)
    if study.get('reference') is not None and study.reference not in study.methods:
        tool.refuse(f'study {path} has the reference {study.reference}, which is none of its methods.')
    return study


def check_keys(tool, what, entry, known):
    """Refuses an entry of the study that lacks its config or has keys that mean nothing."""
    if not isinstance(entry, dict) or 'config' not in entry or set(entry) - known:
        tool.refuse(f'the {what} takes {", ".join(sorted(known))}, of which config is needed; got {entry}.')


class Training:
    """One training of the study: its config as it will run, its folder, what it sees."""

    def __init__(self, args, name, entry, budgeted):
        from cainet_mm.apis import read_config
        from cainet_mm.inference.zoo import is_name

        self.name = name
        # of train.py, where they are not the usual ones; they make another run
        self.others = [args.amp, f'--gpus {args.gpus}' if args.gpus > 1 else '']
        self.minutes = args.minutes if budgeted else None
        self.folder = args.out_dir / 'runs' / name
        self.config = Config() if is_name(entry.config) else read_config(entry.config)
        self.config.merge_from_dict(deepcopy(entry.get('options', {})))
        self.config.work_dir = str(self.folder)
        self.config.randomness = dict(self.config.get('randomness', {}), seed=args.seed)
        self.trains = self.config.get('train_dataloader') is not None and self.config.get('train_cfg') is not None
        if self.trains:
            self.batch = self.config.train_dataloader.batch_size * args.gpus
            if budgeted and (args.images or args.minutes):
                require_length(self.config)
            if budgeted and args.images:
                set_length(self.config, math.ceil(args.images / self.batch))
            if self.minutes:
                self.others.append(f'--minutes {args.minutes}')
            clock = dict(type='TrainingTimeHook', limit_minutes=None)
            self.config.custom_hooks = [*self.config.get('custom_hooks', []), clock]

    @property
    def settings(self):
        """A digest of the settings, to tell a run that was made with others."""
        values = json.dumps(self.config.to_dict(), sort_keys=True, default=repr)
        return hashlib.sha256(''.join((values, *self.others)).encode()).hexdigest()

    @property
    def record(self):
        """What is known of a finished run: its settings, its checkpoint, what it saw; ``None`` before."""
        path = self.folder / 'finished.json'
        return json.loads(path.read_text()) if path.is_file() else None

    def refuse_other_settings(self, tool):
        """Refuses to mix a run with one of other settings in the same folder."""
        noted = self.folder / 'settings.txt'
        if noted.is_file() and noted.read_text() != self.settings:
            tool.refuse(
                f'{self.folder} holds a run with other settings (budget, seed, precision, GPUs, config); name another '
                'OUT_DIR, or remove that folder.'
            )

    def run(self, args):
        """Trains, or goes on training, unless the run is finished; returns its record, or ``None`` if it failed."""
        from cainet_mm.utils.files import replacing

        if self.record is not None:
            print(f'ablate.py: {self.name} is trained already')
            return self.record
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / 'settings.txt').write_text(self.settings)
        config = self.folder / 'config.py'
        # what was begun keeps its length
        if not (self.minutes and config.is_file()):
            if self.minutes and not self.fit_into_minutes(args):
                return None
            with replacing(config) as partial:
                self.config.dump(partial)
        print(f'ablate.py: trains {self.name}', flush=True)
        notes = train(args, self.folder)
        if notes is None:
            return None
        iterations = notes['meta']['iter']
        record = dict(
            checkpoint=(self.folder / 'last_checkpoint').read_text().strip(),
            iterations=iterations,
            batch=self.batch,
            images=iterations * self.batch,
            minutes=notes['message_hub']['runtime_info']['trained_seconds'] / 60,
        )
        (self.folder / 'finished.json').write_text(json.dumps(record, indent=2) + '\n')
        return record

    def fit_into_minutes(self, args):
        """Sets length and schedules by the time of a few iterations; returns whether these could be trained."""
        trial = make_trial(self.config)
        trial.default_hooks.checkpoint.interval = TRIAL
        folder = self.folder / 'trial'
        folder.mkdir(exist_ok=True)
        trial.dump(folder / 'config.py')
        print(f'ablate.py: times {TRIAL} iterations of {self.name}', flush=True)
        notes = train(args, folder)
        if notes is None:
            return False
        seconds = mean_time(notes['message_hub']['log_scalars']['train/time'].data[0])
        set_length(self.config, max(1, round(60 * self.minutes / seconds)))
        shutil.rmtree(folder)
        return True


def train(args, folder):
    """Trains the config.py of a folder in it, or goes on; returns the last checkpoint, or ``None`` if that failed."""
    from mmengine.runner.checkpoint import CheckpointLoader

    config, options = folder / 'config.py', ['--work-dir', folder, '--resume', *filter(None, [args.amp])]
    command = [sys.executable, TOOLS / 'train.py', config, *options]
    if args.gpus > 1:
        command = ['bash', TOOLS / 'dist_train.sh', config, args.gpus, *options]
    environment = os.environ | dict(PYTHON=sys.executable)
    if subprocess.run([str(part) for part in command], env=environment, check=False).returncode:
        return None
    return CheckpointLoader.load_checkpoint((folder / 'last_checkpoint').read_text().strip(), map_location='cpu')


def check_trainings(tool, args, study):
    """Refuses configs and options that cannot be read, before hours go into the methods named first."""
    from cainet_mm.apis import find_model, read_config
    from cainet_mm.inference.zoo import is_name

    try:
        if not Path(study.data).is_dir():
            read_config(study.data)
    except (FileNotFoundError, ValueError) as error:
        tool.refuse(f'data of study {args.study} cannot be used: {error}')
    encoders = {}
    for name, method in study.methods.items():
        try:
            training = Training(args, name, method, budgeted=True)
            if is_name(method.config):
                find_model(method.config)
            if not training.trains and ('encoder' in method or 'options' in method and is_name(method.config)):
                raise ValueError(f'{method.config} is not trained: it takes no encoder and, as a name, no options')
            if 'encoder' in method:
                encoder = Training(args, name_of_encoder(method), method.encoder, budgeted=False)
                if encoders.setdefault(encoder.name, encoder.settings) != encoder.settings:
                    raise ValueError(f'two encoders would be trained in {encoder.folder}; rename one config')
        except (FileNotFoundError, KeyError, TypeError, ValueError) as error:
            tool.refuse(f'{name} of study {args.study} has a config or options that cannot be used: {error}')


def name_of_encoder(method):
    """What the training of a method's encoder is called: methods with the same share it."""
    return f'encoder_{Path(method.encoder.config.split("::")[-1]).stem}'


def train_method(tool, args, name, method):
    """Trains a method, and the encoder that it starts from; returns the records of both, or what failed."""
    encoder_record = None
    if 'encoder' in method:
        encoder = Training(args, name_of_encoder(method), method.encoder, budgeted=False)
        encoder.refuse_other_settings(tool)
        encoder_record = encoder.run(args)
        if encoder_record is None:
            return None, None, f'the training of its encoder failed; its log is in {encoder.folder}'
        method = deepcopy(method)
        method.options = method.get('options', {})
        method.options[method.encoder.into] = encoder_record['checkpoint']
    training = Training(args, name, method, budgeted=True)
    if not training.trains:
        if 'options' in method:
            training.folder.mkdir(parents=True, exist_ok=True)
            method.config = training.folder / 'config.py'
            training.config.dump(method.config)
        return {}, None, None
    training.refuse_other_settings(tool)
    record = training.run(args)
    return record, encoder_record, None if record else f'its training failed; its log is in {training.folder}'


def main():
    tool = make_tool()
    args = parse(tool)
    import_package()
    from cainet_mm.evaluation import markdown_table

    study = read_study(tool, args.study)
    check_trainings(tool, args, study)
    rows, methods, failed = [], [], []
    for name, method in study.methods.items():
        record, encoder, failure = train_method(tool, args, name, method)
        if failure:
            failed += ['--failed', name, failure]
            rows.append([name, 'failed', '', '', '', ''])
            continue
        config = args.out_dir / 'runs' / name / 'config.py' if record else method.config
        methods += ['--method', name, config, *([record['checkpoint']] if record else [])]
        if record:
            counts = (record['iterations'], record['batch'], record['images'], encoder['images'] if encoder else 0)
            rows.append([name, *(f'{count:,}' for count in counts), f'{record["minutes"]:.1f}'])
    table = markdown_table(['method', 'iterations', 'batch', 'images', 'images for its encoder', 'minutes'], rows)
    args.out_dir.mkdir(parents=True, exist_ok=True)
    (args.out_dir / 'training.md').write_text(table, encoding='utf-8')
    print(f'\n{table}')
    if not methods:
        tool.refuse('no method could be trained.')
    reference = ['--reference', study.reference] if study.get('reference') in methods else []
    command = [sys.executable, TOOLS / 'compare.py', study.data, args.out_dir, *methods, *failed, *reference]
    sys.exit(subprocess.run([str(part) for part in (*command, *args.for_compare)], check=False).returncode)


if __name__ == '__main__':
    main()

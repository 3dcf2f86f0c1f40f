"""What all tests share."""

import gc
import importlib.util
import json
import pickle
import shutil
import socket
import subprocess
import sys
import time
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace

import cainet_mm  # noqa: F401  isort: skip (first: MMagic imports only after it, and all faster within it)

import cv2
import numpy as np
import pytest
import torch
import warm
from mmengine.config import Config
from mmengine.config import config as mmengine_config
from mmengine.config import utils as config_utils
from mmengine.dataset import base_dataset
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.runner import runner as runner_module
from mmengine.runner.checkpoint import CheckpointLoader

from cainet_mm.apis import load_model, publish
from cainet_mm.datasets import sample_photos
from cainet_mm.inference import zoo
from cainet_mm.inference.loading import load_default
from cainet_mm.models.losses.vgg import shared_vgg

ROOT = Path(__file__).resolve().parents[1]


def is_old_name(config: Path) -> bool:
    """Tells whether a config is but the old name of another."""
    return '\n_deprecation_ = ' in config.read_text(encoding='utf-8')


def find_configs(folder: str, pattern: str = '*.py') -> list[Path]:
    """Find the configs of a folder of configs/ under the names that they have today."""
    return sorted(path for path in (ROOT / 'configs' / folder).glob(pattern) if not is_old_name(path))


class CopiesOfConfigs:
    """Reads each config of this repository once, and gives a copy each time."""

    def __init__(self, read):
        self.read = read
        self.copies = {}

    def __call__(self, filename, *args, **kwargs):
        path = Path(filename).resolve()
        if args or kwargs or ROOT / 'configs' not in path.parents:
            return self.read(filename, *args, **kwargs)
        key = str(filename), path
        if key not in self.copies:
            config = self.read(filename)
            try:
                self.copies[key] = pickle.dumps(config)
            except (TypeError, AttributeError, pickle.PicklingError):
                # of types themselves, not of their names
                return config
        return pickle.loads(self.copies[key])


class DistinctSeconds:
    """The time, at least a second later with each call."""

    last = 0.0

    def __call__(self):
        self.last = max(time.time(), self.last + 1)
        return self.last


# What was imported is millions of objects, among which each collection looks for garbage.
gc.collect()
gc.freeze()
# For each data set, MMEngine collects what it has serialised: a tenth of a second each time, for some kilobytes.
base_dataset.gc = SimpleNamespace(collect=lambda: None)
# MMEngine prints its config for every run and into every checkpoint; to lay it out prettily takes a second each time.
# The command lines, in processes of their own, still do.
mmengine_config.FormatCode = lambda text, **style: (text, True)
# To read a config takes twenty times as long as to copy it, and those of this repository are read a thousand times.
Config.fromfile = staticmethod(CopiesOfConfigs(Config.fromfile))
# Of each config that inherits one of MMagic's, MMEngine reads all of MMagic's metafiles.
config_utils.load = cache(config_utils.load)
# Runs are named by the second of their start, and two that start within one would share a folder and a logger.
runner_module.time = SimpleNamespace(time=DistinctSeconds(), strftime=time.strftime, localtime=time.localtime)
# Every short training would otherwise decode all sample photographs.
sample_photos.load_photos = cache(sample_photos.load_photos)


def pytest_sessionstart(session):
    """Fork the Python that need not import, before any test has run; the process that hands tests out needs none."""
    if hasattr(session.config, 'workerinput') or not session.config.getoption('numprocesses', None):
        for name in (*sample_photos.TRAIN_PHOTOS, *sample_photos.TEST_PHOTOS):
            sample_photos.load_photos(name)
        # MMEngine's visualiser imports it for every training, a second each time
        importlib.import_module('matplotlib.backends.backend_agg')
        session.config.add_cleanup(warm.start())


def pytest_collection_finish(session):
    """Leave what the tests themselves have imported out of collections, too."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def clean_start():
    """Each test starts in MMagic's scope, as the configs do, and with a VGG-16 that no other test has converted."""
    init_default_scope('mmagic')
    shared_vgg.cache_clear()


def without_vgg_weights(config: dict) -> None:
    """Give every perceptual loss in a config random weights, since no test can download the real ones."""
    names = dict(TextureLoss='vgg', VGGPerceptualLoss='pretrained', HighReceptiveFieldLoss='weights')
    for value in config.values():
        if isinstance(value, dict):
            if value.get('type') in names:
                value[names[value['type']]] = None
            without_vgg_weights(value)


def tiny(name: str, work_dir: Path, iters: int = 2) -> Config:
    """A quickstart config cut down to seconds: thin network, batches of 4, no worker processes."""
    config = Config.fromfile(ROOT / 'configs' / 'quickstart' / f'{name}.py')
    config.work_dir = str(work_dir)
    thin = dict(widths=(8, 8, 8, 8, 8, 8), kernels=(3, 3, 3, 3, 3, 3))
    if name == 'stage1':
        config.model.backbone.update(thin)
        config.model.neck.update(in_channels=8, out_channels=16)
        config.model.update(feat_dim=16, queue_len=16)
    else:
        config.model.encdec.encoder.update(thin)
        config.model.encdec.encoder.init_cfg = None
        config.model.encdec.decoder.out_channels = (8, 8, 8, 8, 8, 8)
        config.model.encdec.decoder.fusion.hidden_channels = 4
        config.model.disc.widths = (4, 4)
        for loader in (config.val_dataloader, config.test_dataloader):
            loader.update(num_workers=0, persistent_workers=False)
            loader.dataset.crops_per_photo = 1
    config.train_dataloader.update(batch_size=4, num_workers=0, persistent_workers=False)
    config.train_cfg.max_iters = iters
    if 'val_interval' in config.train_cfg:
        config.train_cfg.val_interval = iters
    config.default_hooks.checkpoint.interval = 1
    config.default_hooks.logger.interval = 1
    # a second for each training
    config.default_hooks.pop('pictures', None)
    # compared with runs that have it
    config.custom_hooks = [hook for hook in config.get('custom_hooks', []) if hook.type != 'ChannelsLastHook']
    return config


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


@pytest.fixture(scope='module')
def telea():
    """OpenCV's method, as a model."""
    return load_model(ROOT / 'configs/baselines/telea.py')


@pytest.fixture(scope='module')
def network(tmp_path_factory):
    """A tiny CAINet of random weights."""
    torch.manual_seed(0)
    return load_model(tiny('stage2', tmp_path_factory.mktemp('network')))


@pytest.fixture(scope='session')
def stand_in(tmp_path_factory):
    """What stands in for the network that comes with the package: a tiny one of random weights, and its file."""
    folder = tmp_path_factory.mktemp('stand_in')
    torch.manual_seed(0)
    config = tiny('stage2', folder)
    model = load_model(config)
    torch.save(dict(state_dict=model.state_dict()), folder / 'iter_9.pth')
    notes = {'licence': 'Apache-2.0', 'metrics.PSNR in the hole': '17.25'}
    path = publish(folder / 'iter_9.pth', config, folder / 'weights/cainet-photos.safetensors', half=True, notes=notes)
    return model, path


@pytest.fixture
def shipped(stand_in, monkeypatch, tmp_path):
    """Puts the stand-in in the place of the network that comes with the package; the user has no networks."""
    monkeypatch.setattr(zoo, 'PACKAGE_FOLDER', stand_in[1].parent)
    monkeypatch.setenv('CAINET_MM_WEIGHTS', str(tmp_path / 'users'))
    load_default.cache_clear()
    yield stand_in
    load_default.cache_clear()


def load_tool(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command line of tools/ as a module."""
    monkeypatch.syspath_prepend(ROOT / 'tools')
    spec = importlib.util.spec_from_file_location(f'tool_{name}', ROOT / f'tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def call_tool(monkeypatch, capsys):
    """Runs a command line in this process, by name and arguments; returns its exit status and what it said."""

    def call(name, *arguments):
        tool = load_tool(name, monkeypatch)
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, arguments)])
        try:
            status = tool.main() or 0
        except SystemExit as stopped:
            status = stopped.code
        said = capsys.readouterr()
        return SimpleNamespace(returncode=status, stdout=said.out, stderr=said.err)

    return call


@pytest.fixture
def photo_folder(tmp_path):
    """A folder with eight small photographs of different colours and textures."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(8):
        cv2.imwrite(str(folder / f'photo_{number}.png'), random.integers(0, 256, (48, 40, 3), np.uint8))
    return folder


@pytest.fixture
def browser(tmp_path):
    """A Chromium that finds no host but this one, and its downloads."""
    webdriver = pytest.importorskip('selenium.webdriver', reason='the browser is driven by selenium')
    program = shutil.which('chromium') or shutil.which('google-chrome')
    driver = shutil.which('chromedriver')
    if program is None or driver is None:
        pytest.skip('there is no Chromium with a chromedriver; on Debian: apt-get install chromium chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location = program
    flags = ('headless=new', 'no-sandbox', 'disable-dev-shm-usage', 'window-size=1200,1000')
    # the editor draws with WebGL, which is slow without a GPU, and slower yet without these
    flags += ('use-gl=angle', 'use-angle=swiftshader', 'enable-unsafe-swiftshader')
    for flag in (*flags, f'user-data-dir={tmp_path}/profile', 'host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'):
        options.add_argument(f'--{flag}')
    options.add_experimental_option('prefs', {'download.default_directory': str(tmp_path / 'downloads')})
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL', 'browser': 'ALL'})
    chromium = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield chromium
    chromium.quit()


def make_onnx(path: Path, weight: np.ndarray, bias: tuple, size: tuple = ('n', 'h', 'w'), **metadata: str) -> Path:
    """Write a file as export does: known pixels, 0 in the hole, go through a convolution, which fills the hole."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node('Greater', ['mask', 'half'], ['hole'], 'compare'),
        helper.make_node('Where', ['hole', 'zero', 'image'], ['masked'], 'hide'),
        helper.make_node('Conv', ['masked', 'weight', 'bias'], ['features'], 'conv', pads=[weight.shape[2] // 2] * 4),
        helper.make_node('Clip', ['features', 'low', 'high'], ['raw'], 'clip'),
        helper.make_node('Where', ['hole', 'raw', 'image'], ['filled'], 'compose'),
    ]
    numbers = dict(half=0.5, zero=0, low=-1, high=1, weight=weight, bias=bias)
    initialisers = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in numbers.items()]
    count, *sides = size
    image, mask, filled = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [count, channels, *sides])
        for name, channels in (('image', 3), ('mask', 1), ('filled', 3))
    )
    graph = helper.make_graph(nodes, 'network', [image, mask], [filled], initialisers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=8)
    helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def train_elsewhere():
    """Have another process, which it gives, hold the lock of a training on machine node7."""
    code = (
        'import fcntl, json, os, sys; file = open(sys.argv[1], "w"); fcntl.lockf(file, fcntl.LOCK_EX)\n'
        'known = dict(host="node7", process=os.getpid(), since="2026-11-28 03:00:00 +0000")\n'
        'print(end=json.dumps(known) if sys.argv[2:] else "", file=file, flush=True); print(flush=True); input()'
    )
    started = []

    def start(lock: Path, named: bool = True) -> subprocess.Popen:
        command = [sys.executable, '-c', code, str(lock), *(['named'] if named else [])]
        started.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        started[-1].stdout.readline()
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def train(config: Config, name: str) -> Runner:
    """Train a config by the runner, and give the runner."""
    config.experiment_name = name
    runner = Runner.from_cfg(config)
    runner.train()
    return runner


def weights_of(path: str | Path) -> dict:
    """The state dict of a checkpoint."""
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')['state_dict']


def read_log(work_dir: Path) -> list[dict]:
    """The scalars that MMEngine's local visualiser back end wrote in the newest run."""
    newest = max(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in newest.read_text().splitlines()]

"""Files for other runtimes: they answer as PyTorch does, at every size, or they are not there."""

import importlib.util
import json
import math
import os
import re

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT, tiny
from mmcv.cnn import ConvModule
from mmcv.cnn.bricks import Conv2dAdaptivePadding
from torch import nn

from cainet_mm.apis import export, inpaint, load_inpaintor, load_model, publish
from cainet_mm.deploy import checking, export_formats, traceable

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ('onnx', 'onnxruntime')),
    reason='onnx and onnxruntime are not installed (requirements/optional.txt)',
)
needs_torch_export = pytest.mark.skipif(
    not hasattr(getattr(torch.export, 'Dim', None), 'DYNAMIC'), reason='free sizes in torch.export need torch 2.6'
)

# By how much random weights blow up rounding depends on the processor; a file that is wrong is wrong by more.
BLOWN_UP = 5e-3


def trained_norms(model):
    """Give every batch norm statistics and weights as after training, so that leaving one out shows."""
    generator = torch.Generator().manual_seed(5)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.uniform_(-0.5, 0.5, generator=generator)
            part.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.uniform_(part.bias, -0.5, 0.5)
    return model


def cainet(tmp_path, stages=6):
    """A thin CAINet with the paper's norm; exporters take seconds for each of its stages."""
    torch.manual_seed(0)
    config = tiny('stage2', tmp_path)
    encoder, decoder = config.model.encdec.encoder, config.model.encdec.decoder
    encoder.update(widths=encoder.widths[:stages], kernels=encoder.kernels[:stages])
    decoder.update(num_scales=stages, out_channels=decoder.out_channels[:stages])
    config.model.losses.rec.scales = tuple(range(1, stages + 1))
    for part in (config.model.encdec.encoder, config.model.encdec.decoder, config.model.encdec.decoder.fusion):
        part.norm_cfg = dict(type='BN')
    return trained_norms(load_model(config))


def baseline(name):
    torch.manual_seed(0)
    return trained_norms(load_model(ROOT / f'configs/baselines/smoke/{name}.py'))


def refuse(module, plan, path):
    """A way of writing that cannot."""
    raise ValueError('no')


def make_input(batch, height, width, seed=1):
    random = np.random.default_rng(seed)
    image = random.uniform(-1, 1, (batch, 3, height, width)).astype(np.float32)
    hole = random.uniform(size=(batch, 1, height, width)) < 0.4
    return image, hole


@torch.no_grad()
def ask_pytorch(model, image, hole):
    """The composed answer as the inpaintor's own pipeline makes it, and all scales, in [-1, 1]."""
    mask = torch.from_numpy(hole).float()
    image = torch.from_numpy(image)
    outputs = model.generator(torch.cat((image * (1 - mask), mask), dim=1))
    filled = (image * (1 - mask) + outputs[0].clamp(-1, 1) * mask).numpy()
    return [filled, *(output.clamp(-1, 1).numpy() for output in outputs)]


def ask_onnx(path, image, hole):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=['CPUExecutionProvider'])
    return session.run(None, {'image': image, 'mask': hole.astype(np.float32)})


class TestResize:
    @pytest.mark.parametrize('mode', ['area', 'bilinear'])
    @pytest.mark.parametrize(
        ('before', 'after'), [((7, 5), (3, 2)), ((64, 67), (32, 34)), ((101, 1), (13, 1)), ((4, 9), (4, 12))]
    )
    def test_matrices_give_what_interpolate_gives(self, mode, before, after):
        image = torch.rand(2, 3, *before, generator=torch.Generator().manual_seed(0))
        options = dict(size=after, mode=mode, align_corners=False if mode == 'bilinear' else None)
        with traceable.ResizeByMatrices():
            given = F.interpolate(image, **options)
        torch.testing.assert_close(given, F.interpolate(image, **options), rtol=0, atol=1e-5)
        sums = traceable.resize_matrix(before[0], after[0], mode).sum(dim=1)
        torch.testing.assert_close(sums, torch.ones(after[0]))

    def test_no_pooling_is_left_and_other_modes_pass(self):
        graphs = {}
        for mode in ('area', 'nearest'):
            with traceable.ResizeByMatrices():
                traced = torch.jit.trace(
                    lambda image, mode=mode: F.interpolate(image, size=(4, 5), mode=mode), torch.rand(1, 3, 9, 8)
                )
            graphs[mode] = str(traced.graph)
        assert 'matmul' in graphs['area']
        assert 'adaptive_avg_pool2d' not in graphs['area']
        assert 'upsample_nearest2d' in graphs['nearest']


class TestFolding:
    def test_cainet_has_no_batch_norm_left_and_answers_the_same(self, tmp_path):
        model = cainet(tmp_path)
        assert any(isinstance(part, nn.BatchNorm2d) for part in model.generator.modules())
        module = traceable.ExportableInpaintor(model).eval()
        image, mask = checking.make_inputs(2, 33, 40)
        with torch.no_grad():
            wanted = module(image, mask)
            traceable.fold_batch_norms(module)
            given = module(image, mask)
        assert not any(isinstance(part, nn.BatchNorm2d) for part in model.generator.modules())
        torch.testing.assert_close(given, wanted, rtol=0, atol=1e-5)

    def test_norm_before_its_convolution_or_behind_a_partial_one_is_left(self):
        before = ConvModule(4, 4, 3, norm_cfg=dict(type='BN'), order=('norm', 'conv', 'act')).eval()
        traceable.fold_batch_norms(before)
        assert isinstance(before.norm, nn.BatchNorm2d)
        model = baseline('pconv')
        count = sum(isinstance(part, nn.BatchNorm2d) for part in model.generator.modules())
        traceable.fold_batch_norms(model)
        assert sum(isinstance(part, nn.BatchNorm2d) for part in model.generator.modules()) == count > 0

    @pytest.mark.parametrize('conv', ['Conv2d', 'deconv'])
    def test_folded_layer_computes_the_formula_of_the_norm(self, conv):
        torch.manual_seed(0)
        layer = ConvModule(4, 6, 3, conv_cfg=dict(type=conv), norm_cfg=dict(type='BN'), act_cfg=None).eval()
        trained_norms(layer)
        norm, x = layer.norm, torch.rand(2, 4, 9, 8)
        with torch.no_grad():
            y = layer.conv(x).double()
            shift, scale = (value.double()[None, :, None, None] for value in (norm.running_mean, norm.running_var))
            gain, bias = (value.double()[None, :, None, None] for value in (norm.weight, norm.bias))
            wanted = (y - shift) / (scale + norm.eps).sqrt() * gain + bias
            traceable.fold_batch_norms(layer)
            torch.testing.assert_close(layer(x).double(), wanted, rtol=0, atol=1e-5)


@pytest.mark.parametrize(('kernel', 'stride', 'dilation'), [(3, 2, 1), (5, 2, 1), (7, 2, 1), (3, 1, 1), (3, 2, 2)])
def test_same_padding_of_every_size_is_that_of_mmcv(kernel, stride, dilation):
    torch.manual_seed(0)
    layer = Conv2dAdaptivePadding(2, 3, kernel, stride, dilation=dilation)
    sizes = [(height, width) for height in (1, 2, 7, 8) for width in (5, 6)]
    inputs = [torch.rand(1, 2, *size) for size in sizes]
    wanted = [layer(x) for x in inputs]
    traceable.make_traceable(layer)
    traced = torch.jit.trace(layer, torch.rand(2, 2, 16, 15), check_trace=False)
    for x, output in zip(inputs, wanted, strict=True):
        assert output.shape[-2:] == (math.ceil(x.shape[2] / stride), math.ceil(x.shape[3] / stride))
        torch.testing.assert_close(traced(x), output, rtol=0, atol=1e-6)


def documented_multiples():
    """Baselines and what their sizes are multiples of, by the table in the documentation."""
    table = (ROOT / 'docs/exporting.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| `(\w+)` \| (?:any|multiples of (\d+)) \|', table, re.MULTILINE)
    return [(name, int(multiple or 1)) for name, multiple in rows if name != 'cainet']


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp('onnx')
    model = cainet(folder)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    exported = export(model, folder / 'new/cainet.onnx', scales=True, notes=dict(checkpoint='iter_9.pth'))
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    return model, exported


@needs_onnx
class TestONNX:
    @pytest.mark.parametrize(
        'shape',
        [(1, 64, 64), (3, 64, 64), (1, 67, 101), (2, 33, 18), (3, 128, 96), (1, 1, 5), (2, 1, 1), (1, 255, 257)],
    )
    def test_it_answers_as_pytorch_at_every_size_and_batch(self, written, shape):
        model, exported = written
        image, hole = make_input(*shape)
        given, wanted = ask_onnx(exported.path, image, hole), ask_pytorch(model, image, hole)
        assert [output.shape for output in given] == [output.shape for output in wanted]
        assert len(given) == 1 + model.generator.num_scales
        for one, other in zip(given, wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)
        np.testing.assert_array_equal(np.where(hole, 0, given[0]), np.where(hole, 0, image))

    @pytest.mark.skipif(int(cv2.__version__.split('.')[0]) < 5, reason='OpenCV 4 knows fewer operators')
    def test_opencv_reads_it_and_answers_the_same(self, written):
        image, hole = make_input(1, 40, 56)
        network = cv2.dnn.readNetFromONNX(str(written[1].path))
        network.setInput(image, 'image')
        network.setInput(hole.astype(np.float32), 'mask')
        np.testing.assert_allclose(
            network.forward('filled'), ask_pytorch(written[0], image, hole)[0], rtol=0, atol=1e-4
        )

    def test_a_photograph_is_filled_as_by_pytorch(self, written):
        photo = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
        hole = np.zeros((90, 70), bool)
        hole[20:70, 10:40] = True
        given, wanted = (
            inpaint(photo, hole, model=model).astype(int)
            for model in (load_inpaintor(None, written[1].path), written[0])
        )
        # what lies between two grey levels may be rounded otherwise
        assert np.abs(given - wanted).max() <= 1
        assert (given != wanted).mean() < 1e-3

    def test_what_is_in_the_hole_is_not_looked_at_and_masks_are_cut_at_a_half(self, written):
        image, hole = make_input(1, 40, 40)
        given, *_ = ask_onnx(written[1].path, image, hole)
        other = np.where(hole, np.float32(np.nan), image)
        same, *_ = ask_onnx(written[1].path, other, np.where(hole, 0.51, 0.49))
        np.testing.assert_array_equal(given, same)

    def test_the_file_says_what_it_is(self, written):
        import onnx

        model = onnx.load(str(written[1].path))
        onnx.checker.check_model(model, full_check=True)
        says = {entry.key: entry.value for entry in model.metadata_props}
        assert says == written[1].metadata
        assert says['config'] == 'stage2.py'
        assert says['checkpoint'] == 'iter_9.pth'
        assert says['sizes'] == 'any number of images of any height and width'
        assert '1 in the hole' in says['mask']
        assert 'RGB in [-1, 1]' in says['image']
        assert [value.name for value in model.graph.input] == ['image', 'mask']
        assert [value.name for value in model.graph.output][:2] == ['filled', 'scale_1']
        axes = [axis.dim_param or axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim]
        assert axes == ['batch', 3, 'height', 'width']
        assert model.opset_import[0].version == export_formats.OPSET

    def test_no_batch_norm_is_left(self, written):
        import onnx

        kinds = {node.op_type for node in onnx.load(str(written[1].path)).graph.node}
        assert 'Conv' in kinds
        assert 'BatchNormalization' not in kinds

    def test_the_check_covers_odd_sizes_and_batches_and_says_the_difference(self, written):
        _, exported = written
        assert any(batch > 1 for batch, _, _ in exported.checked)
        assert any(height % 2 and width % 2 for _, height, width in exported.checked)
        assert 0 < exported.difference <= exported.allowed == 1e-4
        assert [path.name for path in exported.path.parent.iterdir()] == ['cainet.onnx']

    @pytest.mark.parametrize(
        ('name', 'multiple'),
        [pytest.param(*row, marks=pytest.mark.slow if row[0] == 'pconv' else ()) for row in documented_multiples()],
    )
    def test_baselines(self, name, multiple, tmp_path):
        exported = export(baseline(name), tmp_path / 'baseline.onnx')
        sizes = 'any number of images of any height and width'
        assert exported.metadata['sizes'] == sizes + (f' that are multiples of {multiple}' if multiple > 1 else '')
        assert len(exported.checked) >= 4
        assert all(height % multiple == width % multiple == 0 for _, height, width in exported.checked)
        assert exported.difference <= exported.allowed < BLOWN_UP

    def test_published_file_says_that_it_held_its_config(self, tmp_path):
        config = tiny('stage2', tmp_path)
        torch.save(dict(state_dict=load_model(config).state_dict()), tmp_path / 'iter.pth')
        model = load_model(None, publish(tmp_path / 'iter.pth', config, tmp_path / 'cainet.pth'))
        exported = export(model, tmp_path / 'cainet.onnx', fixed=True, size=(32, 48))
        assert exported.metadata['config'] == 'held by the checkpoint'
        assert exported.metadata['sizes'] == '1 image of 32x48 (height x width) alone'
        assert exported.checked == [(1, 32, 48)]

    def test_images_go_to_the_network_in_its_channel_order(self, tmp_path):
        model = cainet(tmp_path, stages=3)
        model.data_preprocessor.output_channel_order = None
        image, hole = make_input(1, 48, 40)
        (given,) = ask_onnx(export(model, tmp_path / 'bgr.onnx').path, image, hole)
        wanted = ask_pytorch(model, image[:, ::-1].copy(), hole)[0][:, ::-1]
        np.testing.assert_allclose(given, wanted, rtol=0, atol=1e-4)

    def test_wrong_file_is_not_left_and_the_old_one_stays(self, tmp_path, monkeypatch):
        (tmp_path / 'cainet.onnx').write_bytes(b'old')
        # as one could think that the area mode computes
        monkeypatch.setattr(
            traceable,
            'resize_matrix',
            lambda before, after, mode: (
                torch.arange(after)[:, None] * before // after == torch.arange(before)
            ).float(),
        )
        monkeypatch.delitem(export_formats.EXPORT_FORMATS['onnx'].ways, 'torch.onnx over torch.export')
        with pytest.raises(ValueError, match=r'Tried: .*jit\.trace: what it writes differs from PyTorch by .*--fixed'):
            export(cainet(tmp_path, stages=3), tmp_path / 'cainet.onnx', scales=True)
        assert (tmp_path / 'cainet.onnx').read_bytes() == b'old'
        assert list(tmp_path.iterdir()) == [tmp_path / 'cainet.onnx']

    @pytest.mark.slow
    def test_deepfill_is_refused_with_free_sizes_and_written_with_fixed_ones(self, tmp_path):
        model = baseline('deepfillv1')
        with pytest.MonkeyPatch.context() as patch, pytest.raises(ValueError) as refused:
            if 'LONG_TESTS' not in os.environ:
                # free sizes of its attention are minutes of symbolic arithmetic
                patch.setitem(export_formats.EXPORT_FORMATS['onnx'].ways, 'torch.onnx over torch.export', refuse)
            export(model, tmp_path / 'deepfill.onnx')
        assert re.search(r'free sizes.*kernel of unknown shape.*one fixed size', str(refused.value))
        assert 'torch.onnx over torch.export' in str(refused.value)
        assert not list(tmp_path.iterdir())
        if not hasattr(getattr(torch.export, 'Dim', None), 'DYNAMIC'):
            with pytest.raises(ValueError, match=r'needs torch 2\.6'):
                export(model, tmp_path / 'deepfill.onnx', fixed=True)
            return
        exported = export(model, tmp_path / 'deepfill.onnx', fixed=True)
        assert exported.way == 'torch.onnx over torch.export'
        assert exported.difference <= exported.allowed < BLOWN_UP


class TestTorchFormats:
    def test_torchscript_answers_as_pytorch(self, tmp_path):
        model = cainet(tmp_path)
        exported = export(model, tmp_path / 'cainet.pt', 'torchscript')
        extra = {'metadata.json': ''}
        loaded = torch.jit.load(str(exported.path), _extra_files=extra)
        assert json.loads(extra['metadata.json']) == exported.metadata
        for shape in ((3, 64, 64), (1, 67, 101), (1, 1, 5)):
            image, hole = make_input(*shape)
            given = loaded(torch.from_numpy(image), torch.from_numpy(hole).float())
            np.testing.assert_allclose(given.numpy(), ask_pytorch(model, image, hole)[0], rtol=0, atol=1e-4)

    @needs_torch_export
    @pytest.mark.slow
    def test_torch_export_answers_as_pytorch(self, tmp_path):
        model = cainet(tmp_path, stages=3)
        exported = export(model, tmp_path / 'cainet.pt2', 'torch_export')
        extra = {'metadata.json': ''}
        loaded = torch.export.load(str(exported.path), extra_files=extra).module()
        assert json.loads(extra['metadata.json'])['sizes'] == 'any number of images of any height and width from 64 up'
        for shape in ((3, 64, 64), (1, 67, 101)):
            image, hole = make_input(*shape)
            given = loaded(torch.from_numpy(image), torch.from_numpy(hole).float())
            np.testing.assert_allclose(given.detach().numpy(), ask_pytorch(model, image, hole)[0], rtol=0, atol=1e-4)


class TestSentences:
    def test_a_missing_package_is_named_with_the_command_that_installs_it(self, tmp_path, monkeypatch):
        find = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None if 'onnx' in name else find(name))
        with pytest.raises(ModuleNotFoundError, match='pip install onnx onnxruntime'):
            export(cainet(tmp_path), tmp_path / 'cainet.onnx')
        with pytest.raises(ModuleNotFoundError, match=r'pip install onnx \('):
            export(cainet(tmp_path), tmp_path / 'cainet.onnx', check=False)

    @pytest.mark.parametrize(
        ('arguments', 'says'),
        [
            (('cainet.onnx', 'caffe'), "onnx, torchscript, torch_export, got 'caffe'"),
            (('cainet.onnx', 'torchscript'), r'TorchScript ends in \.pt, got cainet\.onnx'),
        ],
    )
    def test_formats_and_endings(self, arguments, says, tmp_path):
        with pytest.raises(ValueError, match=says):
            export(cainet(tmp_path), *arguments)

    @pytest.mark.parametrize(
        ('options', 'says'),
        [
            (dict(opset=17), 'An opset belongs to ONNX'),
            (dict(size=(8, 64)), 'has 16 pixels and more, got 8x64'),
        ],
    )
    def test_options(self, options, says, tmp_path):
        with pytest.raises(ValueError, match=says):
            export(cainet(tmp_path), tmp_path / 'cainet.pt', 'torchscript', **options)

    @needs_onnx
    def test_unknown_opset(self, tmp_path):
        with pytest.raises(ValueError, match='from 13 to [0-9]+, got 99'):
            export(cainet(tmp_path), tmp_path / 'cainet.onnx', opset=99)

    def test_models(self, tmp_path):
        out = tmp_path / 'model.pt'
        with pytest.raises(ValueError, match='ClassicalInpaintor has no generator'):
            export(load_model(ROOT / 'configs/baselines/telea.py'), out, 'torchscript')
        with pytest.raises(ValueError, match='training mode'):
            export(cainet(tmp_path).train(), out, 'torchscript')
        with pytest.raises(ValueError, match='AOTEncoderDecoder returns one image'):
            export(baseline('aot_gan'), out, 'torchscript', scales=True)
        with pytest.raises(ValueError, match='cannot be run at 70x64'):
            export(baseline('pconv'), out, 'torchscript', fixed=True, size=(70, 64))
        model = cainet(tmp_path)
        model.data_preprocessor.mean += 1
        with pytest.raises(ValueError, match=r'mean=\[127\.5\]'):
            export(model, out, 'torchscript')
        assert not out.exists()


def test_network_that_differs_by_rounding_alone_may_differ_that_much(tmp_path, monkeypatch):
    module = traceable.ExportableInpaintor(cainet(tmp_path)).eval()
    with torch.no_grad():
        cases = [checking.make_case(module, 1, 32, 32)]
    monkeypatch.setattr(checking, 'rounding_of', lambda module, cases: 3e-3)

    def differing_by(number):
        return lambda image, mask: cases[0].outputs[0] + number

    difference, allowed = checking.compare(differing_by(5e-3), module, cases, 1e-4)
    assert difference == pytest.approx(5e-3, rel=1e-3)
    assert allowed == 6e-3
    monkeypatch.setattr(checking, 'rounding_of', lambda module, cases: float('inf'))
    assert checking.compare(differing_by(0.04), module, cases, 1e-4)[1] == checking.LARGEST_ROUNDING == 0.05
    for wrong in (differing_by(0.06), differing_by(float('nan')), lambda image, mask: cases[0].outputs[0][..., :5]):
        with pytest.raises(checking.UnfitFileError, match='differs from PyTorch by .* for 1x3x32x32'):
            checking.compare(wrong, module, cases, 1e-4)

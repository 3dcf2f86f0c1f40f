"""Pyramid, decoder and generator."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from mmagic.registry import MODELS
from mmengine.registry import init_default_scope
from mmengine.runner import turn_on_activation_checkpointing
from torch.utils.flop_counter import FlopCounterMode

from cainet_mm.models.decoders import UpConvModule
from cainet_mm.models.pyramids import build_pyramid, downscale


def make_generator(widths=(4, 6, 8, 8, 8, 8), num_scales=6, **decoder):
    init_default_scope('mmagic')
    torch.manual_seed(0)
    config = dict(
        type='CAINetEncoderDecoder',
        encoder=dict(type='CAINetEncoder', widths=widths, kernels=(3,) * len(widths)),
        decoder=dict(
            type='CAINetDecoder',
            num_scales=num_scales,
            fusion=dict(type='DualAttentionFusion', hidden_channels=4),
            **decoder,
        ),
    )
    return MODELS.build(config).eval()


def masked_input(batch, height, width, dtype=torch.float32):
    torch.manual_seed(height * 1000 + width)
    mask = (torch.rand(batch, 1, height, width) < 0.3).to(dtype)
    image = torch.rand(batch, 3, height, width, dtype=dtype) * 2 - 1
    return torch.cat((image * (1 - mask), mask), dim=1)


class TestGenerator:
    @settings(deadline=None, max_examples=15)
    @given(height=st.integers(1, 75), width=st.integers(1, 75), batch=st.integers(1, 2))
    def test_any_size_goes_in_and_the_same_size_comes_out(self, height, width, batch):
        outputs = make_generator()(masked_input(batch, height, width))
        sizes = [(math.ceil(height / 2**scale), math.ceil(width / 2**scale)) for scale in range(6)]
        assert [tuple(output.shape) for output in outputs] == [(batch, 3, *size) for size in sizes]

    def test_body_of_the_paper_takes_256_pixels_and_128(self):
        init_default_scope('mmagic')
        config = dict(
            type='CAINetEncoderDecoder', encoder=dict(type='CAINetEncoder'), decoder=dict(type='CAINetDecoder')
        )
        generator = MODELS.build(config).eval()
        assert [layer.conv.out_channels for layer in generator.decoder.layers] == [4, 64, 128, 256, 512, 512, 512, 512]
        for size in (256, 128):
            with torch.no_grad():
                outputs = generator(masked_input(1, size, size))
            assert [output.shape[-1] for output in outputs] == [size // 2**scale for scale in range(6)]

    @pytest.mark.filterwarnings('ignore:.*use_reentrant')
    def test_activation_checkpoints_of_the_decoder_change_no_gradient(self):
        """The key and the modules that docs/training.md names."""
        inputs, gradients, saved = masked_input(2, 32, 32, torch.float64), [], []
        modules = [f'decoder.{part}.{scale}' for scale in (0, 1) for part in ('layers', 'fusions')]
        for names in ([], modules):
            generator = make_generator().double()
            turn_on_activation_checkpointing(generator, names)
            sizes = {}

            def note(tensor, sizes=sizes):
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
                loss = sum(output.abs().mean() for output in generator(inputs))
            loss.backward()
            gradients.append([weight.grad for weight in generator.parameters()])
            saved.append(sum(sizes.values()))
        for plain, recomputed in zip(*gradients, strict=True):
            assert torch.allclose(plain, recomputed, rtol=1e-9, atol=1e-15)
        assert saved[1] < saved[0]

    @pytest.mark.parametrize('size', [(13, 21), (64, 128)])
    def test_decoder_up_samples_to_the_skip_concatenates_and_convolves(self, size, monkeypatch):
        monkeypatch.setattr(UpConvModule, 'fused_from', 1)
        generator = make_generator(num_scales=2).double()
        inputs = masked_input(2, *size, torch.float64)
        skips = (inputs, *generator.encoder(inputs))
        feature, images = skips[-1], {}
        for index in reversed(range(6)):
            height, width = skips[index].shape[-2:]
            # nearest up-sampling by hand: pixel i takes floor(i * h / H)
            rows = torch.arange(height) * feature.shape[-2] // height
            columns = torch.arange(width) * feature.shape[-1] // width
            feature = feature[..., rows, :][..., columns]
            layer = generator.decoder.layers[index]
            joined = torch.cat((feature, skips[index]), dim=1)
            feature = F.leaky_relu(layer.bn(F.conv2d(joined, layer.conv.weight, layer.conv.bias, padding=1)), 0.2)
            if index < 2:
                images[index] = generator.decoder.fusions[index](feature, inputs[:, :3])
        for index, output in enumerate(generator(inputs)):
            torch.testing.assert_close(output, images[index])

    def test_a_fused_layer_has_the_gradients_of_the_plain_one_for_fewer_operations(self):
        layer = UpConvModule(8 + 3, 4, 3, padding=1, act_cfg=None).double()
        feature, skip = torch.randn(2, 8, 5, 7, dtype=torch.float64), torch.randn(2, 3, 10, 14, dtype=torch.float64)
        weights = torch.randn(2, 4, 10, 14, dtype=torch.float64)
        gradients, operations = [], []
        for least in (36, 35):
            layer.fused_from = least
            parts = (feature.requires_grad_(), skip.requires_grad_(), *layer.parameters())
            with FlopCounterMode(display=False) as counter:
                output = layer(feature, skip)
            gradients.append(torch.autograd.grad((output * weights).sum(), parts))
            operations.append(counter.get_total_flops())
        torch.testing.assert_close(gradients[1], gradients[0])
        # per pixel 16 / 4 products with each of 8 channels in place of 9, and 9 with each of 3 as before
        assert operations[1] / operations[0] == (4 * 8 + 9 * 3) / (9 * 11)

    def test_every_weight_is_trained_by_the_outputs(self):
        generator = make_generator().train()
        sum(output.square().mean() for output in generator(masked_input(2, 64, 64))).backward()
        idle = [name for name, weight in generator.named_parameters() if weight.grad is None or not weight.grad.any()]
        # a convolution's bias before a batch norm changes nothing, so its gradient is 0 but for rounding
        assert all(name.endswith('conv.bias') for name in idle), idle

    def test_channels_last_and_bfloat16_give_the_same_images(self):
        generator, inputs = make_generator(), masked_input(2, 33, 40)
        expected = generator(inputs)
        generator.to(memory_format=torch.channels_last)
        for ours, true in zip(generator(inputs), expected, strict=True):
            torch.testing.assert_close(ours, true, rtol=1e-4, atol=1e-5)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            halves = generator(inputs)
        for ours, true in zip(halves, expected, strict=True):
            assert (ours.float() - true).abs().max() < 0.1 * true.abs().max()

    @pytest.mark.parametrize('num_scales', [1, 3, 6])
    def test_puts_out_as_many_scales_as_it_is_told(self, num_scales):
        generator = make_generator(num_scales=num_scales)
        assert generator.num_scales == num_scales
        assert len(generator(masked_input(1, 16, 16))) == num_scales

    def test_thinner_decoder_is_one_key(self):
        generator = make_generator(out_channels=(2, 3, 4, 5, 6, 7))
        assert [layer.conv.out_channels for layer in generator.decoder.layers] == [2, 3, 4, 5, 6, 7]
        assert generator(masked_input(1, 16, 16))[0].shape == (1, 3, 16, 16)

    @pytest.mark.parametrize('num_scales', [0, 7])
    def test_scales_that_there_are_not_are_refused(self, num_scales):
        with pytest.raises(ValueError, match=f'images at 1 to 6 scales, got num_scales={num_scales}'):
            make_generator(num_scales=num_scales)

    def test_even_kernels_are_refused(self):
        with pytest.raises(ValueError, match='CAINetDecoder takes an odd kernel_size, got 4'):
            make_generator(kernel_size=4)

    def test_widths_of_another_number_of_layers_are_refused(self):
        with pytest.raises(ValueError, match=r'6 layers for 7 skips .* but got 2 out_channels \(4, 4\)'):
            make_generator(out_channels=(4, 4))


class TestPyramid:
    def test_coarse_pixel_is_hole_where_any_pixel_that_it_covers_is(self):
        mask = torch.zeros(1, 1, 8, 12)
        mask[..., 5, 2] = 1
        levels = build_pyramid(torch.rand(1, 3, 8, 12), mask, [(8, 12), (4, 6), (2, 3), (1, 2)])
        assert [level.mask.sum().item() for level in levels] == [1, 1, 1, 1]
        assert levels[1].mask[0, 0, 2, 1] == 1
        assert levels[2].mask[0, 0, 1, 0] == 1

    def test_area_gives_the_mean_over_each_pixel(self):
        image = torch.rand(2, 3, 8, 12, dtype=torch.float64)
        by_hand = image.reshape(2, 3, 4, 2, 3, 4).mean(dim=(3, 5))
        torch.testing.assert_close(downscale(image, (4, 3)), by_hand)
        torch.testing.assert_close(build_pyramid(image, image[:, :1], [(4, 3)])[0].target, by_hand)

    def test_bilinear_is_one_key_away(self):
        image = torch.rand(1, 3, 8, 8, dtype=torch.float64)
        # at a quarter of the size, pixel centres fall between the two middle ones of four
        by_hand = image.reshape(1, 3, 2, 4, 2, 4)[:, :, :, 1:3, :, 1:3].mean(dim=(3, 5))
        torch.testing.assert_close(downscale(image, (2, 2), 'bilinear'), by_hand)

    def test_full_size_is_not_copied(self):
        image = torch.rand(1, 3, 5, 7)
        assert downscale(image, (5, 7)) is image

    def test_other_modes_are_refused(self):
        with pytest.raises(ValueError, match="'bilinear' or 'area', got 'nearest'"):
            downscale(torch.rand(1, 3, 4, 4), (2, 2), 'nearest')

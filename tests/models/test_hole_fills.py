"""The smooth fill and the parts that build upon it."""

import math

import pytest
import torch
from mmagic.registry import MODELS
from torch import Tensor

from cainet_mm.models import CAINetDecoder, DualAttentionFusion, EdgeFill, SmoothFill, TwoMaskPreprocessor, hole_fills
from cainet_mm.models.hole_fills import mix_of_neighbours, stencil


def square_hole(size: int, hole: int) -> Tensor:
    mask = torch.zeros(1, 1, size, size)
    start = (size - hole) // 2
    mask[..., start : start + hole, start : start + hole] = 1
    return mask


def solve_laplace(image: Tensor, mask: Tensor) -> Tensor:
    """Solve Laplace's equation in the hole as one dense system in float64."""
    height, width = image.shape
    inside = [(row, column) for row in range(height) for column in range(width) if mask[row, column]]
    number = {place: index for index, place in enumerate(inside)}
    system = torch.zeros(len(inside), len(inside), dtype=torch.float64)
    right = torch.zeros(len(inside), dtype=torch.float64)
    for (row, column), index in number.items():
        for place in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
            system[index, index] += 1
            if place in number:
                system[index, number[place]] -= 1
            else:
                right[index] += image[place]
    solved = image.double().clone()
    for place, value in zip(inside, torch.linalg.solve(system, right), strict=True):
        solved[place] = value
    return solved


FILLS = pytest.mark.parametrize('fill', [SmoothFill(), EdgeFill()], ids=['smooth', 'edges'])


@FILLS
@pytest.mark.parametrize('size', [(32, 32), (33, 47), (5, 64)])
def test_known_pixels_stay_and_the_hole_is_not_looked_at(size, fill):
    image, mask = torch.randn(2, 3, *size), (torch.rand(2, 1, *size) < 0.4).float()
    filled = fill(image, mask)
    known = (mask == 0).expand_as(image)
    assert torch.equal(filled[known], image[known])
    assert torch.equal(filled, fill(torch.where(known, image, torch.randn_like(image)), mask))


def test_it_approaches_the_solution_of_laplaces_equation():
    torch.manual_seed(0)
    image, mask = torch.rand(24, 24), square_hole(24, 10)[0, 0]
    solved = solve_laplace(image, mask)
    errors = [
        (SmoothFill(iterations=n)(image[None, None], mask[None, None])[0, 0] - solved)[mask > 0].abs().mean().item()
        for n in (1, 3, 200)
    ]
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.03
    assert errors[2] < 1e-3


@FILLS
@pytest.mark.parametrize('hole', [8, 16, 32])
def test_flat_colours_and_gradients_are_continued(hole, fill):
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 64), indexing='ij')
    for image in (torch.full((64, 64), 0.3), 0.5 * rows + 0.4 * columns):
        filled = fill(image[None, None], square_hole(64, hole))
        assert (filled[0, 0] - image).abs().max() < 2 / 127.5


@pytest.mark.parametrize('angle', [0.0, 0.4, 1.0, 2.2])
def test_straight_edges_are_continued(angle):
    """Between -0.5 and 0.5; the smooth fill is off by 0.22 and more in the mean."""
    rows, columns = torch.meshgrid(torch.arange(64) - 31.5, torch.arange(64) - 31.5, indexing='ij')
    image = (rows * math.sin(angle) + columns * math.cos(angle)).clamp(-0.5, 0.5)[None, None]
    mask = square_hole(64, 16)
    errors = [((fill(image, mask) - image).abs() * mask).sum() / mask.sum() for fill in (EdgeFill(), SmoothFill())]
    assert errors[0] < 0.6 * errors[1]


def test_edges_go_in_every_direction():
    """A picture that is turned or mirrored is filled as before, turned or mirrored."""
    image, mask = torch.rand(1, 3, 32, 32), square_hole(32, 12)
    filled = EdgeFill()(image, mask)
    for change in (lambda x: x.rot90(1, (2, 3)), lambda x: x.flip(3), lambda x: x.transpose(2, 3)):
        assert torch.allclose(EdgeFill()(change(image), change(mask)), change(filled), atol=1e-4)


def test_its_step_is_the_divergence_of_d_grad_u():
    """Of a polynomial, in float64, by its derivatives: the differences of second order are exact for these."""
    y, x = torch.meshgrid(torch.arange(12.0).double(), torch.arange(12.0).double(), indexing='ij')
    u = 0.3 * x**2 + 0.2 * x * y - 0.5 * y**2
    xx, xy, yy = 1 + 0.1 * x, 0.3 + 0.05 * y, 2 - 0.1 * y
    # d/dx (xx u_x + xy u_y) + d/dy (xy u_x + yy u_y)
    u_x, u_y = 0.6 * x + 0.2 * y, 0.2 * x - y
    expected = 0.1 * u_x + xx * 0.6 + xy * 0.2 + 0.05 * u_x + xy * 0.2 - 0.1 * u_y - yy
    weights = stencil(torch.stack((xx, xy, yy))[None])
    found = mix_of_neighbours(u[None, None], weights, -weights.sum(1, keepdim=True))[0, 0]
    assert torch.allclose(found[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-9)


def test_its_steps_end_at_the_solution():
    """Many of them leave no flow in the hole, with D as it was measured before them."""
    image, mask = torch.rand(1, 3, 16, 16, dtype=torch.float64), square_hole(16, 8).double()
    fill, is_known = EdgeFill(iterations=1000), mask < 0.5
    start = image * is_known
    weights = stencil(fill.diffusion_tensor(start))
    filled = fill.relax(start, image, is_known, 0)
    left = mix_of_neighbours(filled, weights, -weights.sum(1, keepdim=True)) * mask
    assert torch.equal(filled * is_known, start)
    assert left.abs().max() < 1e-3


@pytest.mark.parametrize('hole', [(0, 9, 30, 48), (20, 22, 3, 40), (0, 48, 0, 48)])
def test_the_surroundings_of_a_hole_suffice(hole, monkeypatch):
    """On a CPU: it is filled to the bit as with steps everywhere, as other devices do."""
    image, mask = torch.rand(2, 3, 48, 48), torch.zeros(2, 1, 48, 48)
    top, bottom, left, right = hole
    mask[0, :, top:bottom, left:right] = 1
    mask[1, :, 24:30, 24:30] = 1
    filled = EdgeFill()(image, mask)
    monkeypatch.setattr(hole_fills, 'surroundings_of', lambda *_: None)
    assert torch.equal(EdgeFill()(image, mask), filled)


@FILLS
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_lower_precision_is_kept(dtype, fill):
    image, mask = torch.rand(1, 3, 32, 32), square_hole(32, 12)
    filled = fill(image.to(dtype), mask.to(dtype))
    assert filled.dtype == dtype
    assert (filled.float() - fill(image, mask)).abs().mean() < 0.02


@FILLS
def test_a_hole_without_anything_around_it_is_zero(fill):
    assert fill(torch.randn(1, 3, 16, 16), torch.ones(1, 1, 16, 16)).abs().max() == 0


def test_arguments_that_make_no_fill_are_refused():
    with pytest.raises(ValueError, match='levels=0'):
        SmoothFill(levels=0)
    with pytest.raises(ValueError, match='contrast above 0 and edge_levels from 1 up, got 0'):
        EdgeFill(contrast=0)


def compact_generator(**changes) -> torch.nn.Module:
    config = dict(
        type='CAINetEncoderDecoder',
        encoder=dict(type='CAINetEncoder', widths=(4, 6, 8), kernels=(3, 3, 3), norm_cfg=None),
        decoder=dict(
            type='CAINetDecoder',
            num_scales=3,
            progressive=True,
            norm_cfg=None,
            fusion=dict(type='DualAttentionFusion', hidden_channels=4, residual=True, norm_cfg=None),
        ),
        hole_fill=dict(type='SmoothFill'),
        centred=True,
    )
    return MODELS.build(dict(config, **changes)).double()


def masked_input(size: int = 32) -> tuple[Tensor, Tensor]:
    image, mask = torch.randn(2, 3, size, size).double(), square_hole(size, 12).double().expand(2, -1, -1, -1)
    return torch.cat((image * (1 - mask), mask), dim=1), image


def test_progressive_outputs_keep_known_pixels_at_every_scale():
    inputs, image = masked_input()
    outputs = compact_generator()(inputs)
    assert [tuple(output.shape[-2:]) for output in outputs] == [(32, 32), (16, 16), (8, 8)]
    for output in outputs:
        size = output.shape[-2:]
        known = torch.nn.functional.adaptive_max_pool2d(inputs[:, 3:], size) == 0
        small = torch.nn.functional.adaptive_avg_pool2d(image, size)
        assert torch.allclose(output[known.expand_as(output)], small[known.expand_as(output)])


def test_a_coarse_change_is_carried_to_the_finest_scale():
    inputs, _ = masked_input()
    generator = compact_generator()
    filled = generator.hole_fill(inputs[:, :3], inputs[:, 3:])
    for fusion in generator.decoder.fusions:
        torch.nn.init.zeros_(fusion.to_image.weight)
        torch.nn.init.zeros_(fusion.to_image.bias)
    assert torch.allclose(generator(inputs)[0], filled)
    # a constant from the coarsest scale, which alpha = 1 lets through
    coarsest = generator.decoder.fusions[-1]
    torch.nn.init.constant_(coarsest.to_image.bias, 0.5)
    torch.nn.init.constant_(coarsest.attend[-1].bias, 100.0)
    change = generator(inputs)[0] - filled
    centre = change[..., 15:17, 15:17]
    assert torch.allclose(centre, torch.full_like(centre, 0.5), atol=1e-6)
    assert change[..., :8, :8].abs().max() == 0


def test_centred_features_do_not_depend_on_a_tint():
    inputs, _ = masked_input()
    generator = compact_generator()
    seen = []
    generator.encoder.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    tint = torch.tensor([0.3, -0.2, 0.1]).double().view(1, 3, 1, 1)
    generator(inputs)
    generator(torch.cat((inputs[:, :3] + tint * (1 - inputs[:, 3:]), inputs[:, 3:]), dim=1))
    assert torch.allclose(*seen)
    assert seen[0][:, :3].mean(dim=(2, 3)).abs().max() < 1e-12


def test_a_residual_fusion_is_equation_8_with_a_restored_image_relative_to_the_input():
    fusion = DualAttentionFusion(8, hidden_channels=4, residual=True, norm_cfg=None).double()
    feature, masked = torch.randn(2, 8, 6, 6).double(), torch.randn(2, 3, 6, 6).double()
    alpha, restored, known = fusion.decompose(feature, masked)
    difference = fusion.to_image(fusion.channel_attention(feature))
    assert torch.allclose(restored, known + difference)
    assert torch.allclose(fusion(feature, masked), known + alpha * difference)


def test_views_of_stage_1_are_what_the_generator_sees():
    inputs, image = masked_input()
    generator = compact_generator()
    seen = []
    generator.encoder.register_forward_pre_hook(lambda module, arguments: seen.append(arguments[0]))
    generator(inputs)
    views = TwoMaskPreprocessor(hole_fill=dict(type='SmoothFill'), centred=True)
    assert torch.allclose(views.view(image, inputs[:, 3:]), seen[0])


def test_progressive_needs_no_hole_fill():
    outputs = compact_generator(hole_fill=None, centred=False)(masked_input()[0])
    assert len(outputs) == 3


def test_without_progressive_the_decoder_is_as_before():
    decoder = CAINetDecoder((4, 8, 8), num_scales=2, norm_cfg=None)
    skips = [torch.randn(1, 4, 8, 8), torch.randn(1, 8, 4, 4), torch.randn(1, 8, 2, 2)]
    feature = decoder.layers[1](skips[2], skips[1])
    assert torch.equal(decoder(skips, skips[0][:, :3])[1], decoder.fusions[1](feature, skips[0][:, :3]))

"""DCGAN: the paper's architecture number by number, and the discriminator's features beside a slow reference."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Image
from pofx.models.adversarial.dcgan import DCGAN
from pofx.randomness import Noise
from pofx.run import seeded

SIZES = {28: [14, 7, 4], 32: [16, 8, 4], 64: [32, 16, 8, 4]}


def made(x: Image, **arguments: object) -> DCGAN:
    with seeded(0):
        return DCGAN(x, **{"latent": 6, "width": 4, **arguments})  # type: ignore[arg-type]


def kinds_of(network: nn.Module) -> list[type[nn.Module]]:
    """The classes of the layers that have weights or bend, in order."""
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.ReLU, nn.LeakyReLU, nn.Tanh)
    return [type(module) for module in network.modules() if isinstance(module, kinds)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", SIZES)
def test_the_discriminator_halves_to_4x4_and_the_generator_doubles_back(side: int, channels: int) -> None:
    dcgan = made(Image(channels, side, side))
    features = dcgan.discriminator.features(torch.rand(2, channels, side, side))
    assert [tuple(h.shape) for h in features] == [(2, 4 * 2**i, s, s) for i, s in enumerate(SIZES[side])]
    shapes: list[tuple[int, ...]] = []
    for module in dcgan.generator.modules():
        if isinstance(module, nn.ConvTranspose2d):
            module.register_forward_hook(lambda _, inputs, output: shapes.append(tuple(output.shape[1:])))
    x = dcgan.eval().generate(torch.rand(2, 6))
    outwards = [*SIZES[side][-2::-1], side]
    maps = [*(4 * 2**i for i in reversed(range(len(outwards) - 1))), channels]
    assert shapes == [(c, s, s) for c, s in zip(maps, outwards, strict=True)]
    assert x.shape == (2, channels, side, side)


def test_every_map_of_the_last_layer_sees_what_5x5_strided_convolutions_see() -> None:
    """k layers of kernel 5 and stride 2 see 4 (2^k - 1) + 1 pixels a side: 29 after three."""
    dcgan = made(Image(1, 64, 64), spectral_norm=True)  # without batch normalisation, or every pixel of the batch is seen
    x = torch.rand(1, 1, 64, 64, dtype=torch.float64, requires_grad=True)
    h = dcgan.double().discriminator.features(x)[2]
    h[0, :, 4, 4].sum().backward()
    assert x.grad is not None
    rows = x.grad[0, 0].abs().sum(1).nonzero().flatten()
    assert (rows.min().item(), rows.max().item()) == (4 * 8 - 14, 4 * 8 + 14)


@pytest.mark.parametrize(("channels", "side", "width"), [(3, 64, 128), (1, 28, 16)])
def test_as_many_parameters_as_the_architecture_has(channels: int, side: int, width: int) -> None:
    """The paper's 64x64 networks: 100 -> 4x4x1024 -> 512 -> 256 -> 128 -> 3, and back."""
    with torch.device("meta"):
        dcgan = DCGAN(Image(channels, side, side), width=width)
    maps = [width * 2**i for i in range(len(SIZES[side]))]
    convolutions = 25 * (channels * maps[0] + sum(a * b for a, b in pairwise(maps)))
    projection = 100 * 4 * 4 * maps[-1]
    generator = projection + convolutions + 2 * sum(maps) + channels
    discriminator = convolutions + maps[0] + 2 * sum(maps[1:]) + 4 * 4 * maps[-1] + 1
    count = {net: sum(p.numel() for p in getattr(dcgan, net).parameters()) for net in ("generator", "discriminator")}
    assert count == {"generator": generator, "discriminator": discriminator}
    if width == 128:
        assert count == {"generator": 18_855_043, "discriminator": 17_232_897}


def test_the_discriminator_may_be_narrower_than_the_generator() -> None:
    dcgan = made(Image(1, 28, 28), width=16, discriminator_width=2)
    assert [h.shape[1] for h in dcgan.discriminator.features(torch.rand(2, 1, 28, 28))] == [2, 4, 8]
    assert [m.in_channels for m in dcgan.generator.modules() if isinstance(m, nn.ConvTranspose2d)] == [64, 32, 16]
    assert dcgan.eval().encode(torch.rand(2, 1, 28, 28)).shape == (2, dcgan.codes.dims)


def test_batch_normalisation_is_everywhere_but_at_the_generators_end_and_the_discriminators_start() -> None:
    dcgan = made(Image(1, 32, 32))
    doubling, halving = [nn.BatchNorm2d, nn.ReLU, nn.ConvTranspose2d], [nn.Conv2d, nn.BatchNorm2d, nn.LeakyReLU]
    assert kinds_of(dcgan.generator) == [nn.Linear, *3 * doubling, nn.Tanh]
    assert kinds_of(dcgan.discriminator) == [nn.Conv2d, nn.LeakyReLU, *2 * halving, nn.Linear]
    assert {m.negative_slope for m in dcgan.discriminator.modules() if isinstance(m, nn.LeakyReLU)} == {0.2}
    followed = dict(zip(dcgan.discriminator.modules(), list(dcgan.discriminator.modules())[1:], strict=False))
    for module, after in followed.items():
        if isinstance(module, nn.Conv2d):
            assert (module.bias is None) == isinstance(after, nn.BatchNorm2d)


@pytest.mark.parametrize("rules", [{"penalty": "r1"}, {"penalty": "wgan_gp"}, {"spectral_norm": True}], ids=str)
def test_a_discriminator_under_a_penalty_scores_each_picture_alone(rules: dict[str, object]) -> None:
    dcgan, plain = made(Image(1, 28, 28), **rules), made(Image(1, 28, 28))
    x, other = torch.rand(2, 5, 1, 28, 28)
    x_in_other_company = torch.cat([x[:1], other[1:]])
    noise = Noise((0,), slice(0, 5), 5)
    dcgan.scores(x, noise)  # one step of the power iteration, which goes on in training
    dcgan.eval().generator.train()
    torch.testing.assert_close(dcgan.scores(x, noise)[0], dcgan.scores(x_in_other_company, noise)[0])
    assert not any(isinstance(module, nn.BatchNorm2d) for module in dcgan.discriminator.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in dcgan.generator.modules())
    assert not torch.allclose(plain.scores(x, noise)[0], plain.scores(x_in_other_company, noise)[0])


@pytest.mark.parametrize("penalty", ["r1", "wgan_gp"])
def test_the_slope_of_a_penalty_is_that_of_finite_differences(penalty: str) -> None:
    """The gradient of a gradient, through activations that are computed in place."""
    dcgan = made(Image(1, 8, 8), penalty=penalty).double()
    x, fake = torch.rand(2, 4, 1, 8, 8, dtype=torch.float64)
    weights = list(dcgan.discriminator.parameters())
    with torch.no_grad():
        for w in weights:
            w.mul_(20)  # as drawn, the discriminator is nearly flat
    direction = [torch.randn(w.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(i)) for i, w in enumerate(weights)]

    def total() -> Tensor:
        return dcgan.penalty(x, fake, Noise((1,), slice(0, 4), 4, dtype=torch.float64)).sum()

    slopes = torch.autograd.grad(total(), weights, allow_unused=True)
    along = sum(float((s * d).sum()) for s, d in zip(slopes, direction, strict=True) if s is not None)
    ends = []
    for step in (1e-6, -2e-6):
        with torch.no_grad():
            for w, d in zip(weights, direction, strict=True):
                w.add_(d, alpha=step)
        ends.append(float(total().detach()))
    assert abs(along) > 1
    assert along == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-4)


def test_weights_are_drawn_with_a_standard_deviation_of_2_hundredths() -> None:
    dcgan = made(Image(3, 32, 32), width=16)
    for module in dcgan.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            w = module.weight.detach().double()
            error = 4 * 0.02 / w.numel() ** 0.5
            assert abs(w.mean()) < error
            assert abs(w.std() - 0.02) < error
        if isinstance(module, nn.BatchNorm2d):
            assert abs(module.weight.mean() - 1) < 4 * 0.02 / module.num_features**0.5
        bias = getattr(module, "bias", None)
        assert bias is None or not bias.any()


def test_generated_pictures_fill_0_to_1_and_the_discriminator_sees_minus_1_to_1() -> None:
    dcgan = made(Image(1, 28, 28)).eval()
    last = [m for m in dcgan.generator.modules() if isinstance(m, nn.ConvTranspose2d)][-1]
    assert last.bias is not None
    for bias, value in ((-50.0, 0.0), (50.0, 1.0)):
        nn.init.constant_(last.bias, bias)
        assert (dcgan.generate(torch.zeros(1, 6)) == value).all()
    seen: list[Tensor] = []
    dcgan.discriminator.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    dcgan.discriminator(torch.tensor([0.0, 0.25, 1.0]).view(3, 1, 1, 1).expand(3, 1, 28, 28))
    assert seen[0][:, 0, 0, 0].tolist() == [-1.0, -0.5, 1.0]


@pytest.mark.parametrize(("side", "packing"), [(28, 1), (32, 1), (64, 2)])
def test_features_are_the_maxima_of_every_layer_on_a_4x4_grid(side: int, packing: int) -> None:
    """Cut into 4 pieces a side, each from floor(i n / 4) to ceil((i + 1) n / 4), the largest activation of each."""
    dcgan = made(Image(1, side, side), packing=packing, width=2)
    x = torch.rand(3, 1, side, side)
    dcgan.discriminator(torch.rand(6, packing, side, side))  # the running statistics are no longer those of the start
    dcgan.eval()
    caught: list[Tensor] = []
    for module in dcgan.discriminator.modules():
        if isinstance(module, nn.LeakyReLU):
            module.register_forward_hook(lambda _, inputs, output: caught.append(output))
    code = dcgan.encode(x)
    expected = []
    for h in caught:
        n = h.shape[-1]
        cuts = [slice(i * n // 4, -(-(i + 1) * n // 4)) for i in range(4)]
        grid = [[h[:, :, rows, columns].amax((2, 3)) for columns in cuts] for rows in cuts]
        expected.append(torch.stack([torch.stack(row, dim=2) for row in grid], dim=2).flatten(1))
        if n % 4 == 0:
            assert torch.equal(expected[-1], F.max_pool2d(h, n // 4).flatten(1))
    assert len(expected) == len(SIZES[side])
    assert torch.equal(code, torch.cat(expected, dim=1))
    assert code.shape == (3, dcgan.codes.dims)
    torch.testing.assert_close(dcgan.encode(x[:1]), code[:1])


def test_a_discriminator_of_packs_is_shown_copies() -> None:
    dcgan = made(Image(3, 28, 28), packing=2).eval()
    x = torch.rand(2, 3, 28, 28)
    first = dcgan.discriminator.layers[0](2 * torch.cat([x, x], dim=1) - 1)
    torch.testing.assert_close(dcgan.encode(x)[:, : 4 * 16], F.adaptive_max_pool2d(first, 4).flatten(1))


def test_minibatch_std_is_one_more_map_before_the_last_layer() -> None:
    plain, watching = made(Image(1, 28, 28)), made(Image(1, 28, 28), minibatch_std=True)
    assert [watching.discriminator.last[-1].in_features - plain.discriminator.last[-1].in_features] == [4 * 4]
    x = torch.rand(1, 1, 28, 28)
    torch.testing.assert_close(watching.eval().encode(x.expand(3, -1, -1, -1))[0], watching.encode(x)[0])


@pytest.mark.parametrize(("height", "width"), [(7, 28), (4, 4)])
def test_pictures_too_small_to_halve_are_refused(height: int, width: int) -> None:
    with pytest.raises(UserError, match=f"8 pixels or more a side, not {height}x{width}: enlarge them with --size"):
        DCGAN(Image(1, height, width))


def test_other_sizes_halve_rounded_up() -> None:
    dcgan = made(Image(1, 40, 22)).eval()
    assert [tuple(h.shape[2:]) for h in dcgan.discriminator.features(torch.rand(1, 1, 40, 22))] == [(20, 11), (10, 6), (5, 3)]
    assert dcgan.sample(2).shape == (2, 1, 40, 22)
    assert dcgan.encode(torch.rand(2, 1, 40, 22)).shape == (2, dcgan.codes.dims)

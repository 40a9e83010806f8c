"""Poses of pictures: where each number moves them, and that a code whose pose changes is decoded to the same picture elsewhere."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from pofx.errors import UserError
from pofx.kinds import Binary, Image, Vector
from pofx.layers.spatial_transformer import SCALE, SHIFT, SLANT, TURN, Posed, place, posed, random_affine
from pofx.randomness import Noise, generator

SIDE = 64


def blob(x: float, y: float, wide: float = 0.1, high: float = 0.1) -> torch.Tensor:
    """A Gaussian hill at (x, y), in coordinates from -1 to 1, (1, 1, SIDE, SIDE)."""
    at = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE * 2 - 1
    return torch.exp(-(((at[None] - x) / wide) ** 2 + ((at[:, None] - y) / high) ** 2) / 2)[None, None]


def moments(x: torch.Tensor) -> tuple[float, float, float, float]:
    """The centre of a picture, and its standard deviations across and down, in coordinates from -1 to 1."""
    at = (torch.arange(SIDE, dtype=torch.float64) + 0.5) / SIDE * 2 - 1
    weight = x[0, 0] / x.sum()
    right, down = (weight.sum(0) * at).sum(), (weight.sum(1) * at).sum()
    across, along = (weight.sum(0) * (at - right) ** 2).sum(), (weight.sum(1) * (at - down) ** 2).sum()
    return right.item(), down.item(), across.sqrt().item(), along.sqrt().item()


def pose(**numbers: float) -> torch.Tensor:
    order = ("turn", "wide", "high", "slant", "right", "down")
    return torch.tensor([[numbers.get(name, 0.0) for name in order]], dtype=torch.float64)


def test_pose_zero_changes_nothing() -> None:
    x = torch.rand(3, 2, 7, 5, generator=generator("pose"), dtype=torch.float64)
    torch.testing.assert_close(posed(x, torch.zeros(3, 6, dtype=torch.float64)), x)


def test_places_are_not_rounded_where_layers_compute_in_bf16() -> None:
    x, p = torch.rand(3, 1, 28, 28, generator=generator("pose")), torch.randn(3, 6, generator=generator("pose"))
    with torch.autocast("cpu", torch.bfloat16):
        found = posed(x, p)
    assert torch.equal(found, posed(x, p))


@pytest.mark.parametrize("amount", [-1.0, 0.5, 2.0])
def test_each_number_moves_a_hill_as_the_map_says(amount: float) -> None:
    """What comes out at u is x at A u + t, so a hill at c comes to A^-1 (c - t), and its standard deviations are divided by the scale."""
    cos, sin = math.cos(TURN * amount), math.sin(TURN * amount)
    x, y = 0.3, 0.2
    expected = {
        "turn": (cos * x + sin * y, cos * y - sin * x),
        "wide": (x / math.exp(SCALE * amount), y),
        "high": (x, y / math.exp(SCALE * amount)),
        "slant": (x - SLANT * amount * y, y),
        "right": (x - SHIFT * amount, y),
        "down": (x, y - SHIFT * amount),
    }
    for name, centre in expected.items():
        found = moments(posed(blob(x, y), pose(**{name: amount})))
        assert found[:2] == pytest.approx(centre, abs=2e-3), name
        if name in ("wide", "high"):
            widths = [0.1 / math.exp(SCALE * amount) if name == which else 0.1 for which in ("wide", "high")]
            assert found[2:] == pytest.approx(widths, abs=2e-3), name


def test_a_pose_turns_what_was_scaled_and_slanted() -> None:
    """All six at once: A = R S, in this order."""
    p = pose(turn=1.0, wide=-1.0, high=0.5, slant=0.8, right=0.4, down=-0.6)
    cos, sin = math.cos(TURN), math.sin(TURN)
    R = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
    S = torch.tensor([[math.exp(-SCALE), 0.8 * SLANT], [0.0, math.exp(0.5 * SCALE)]], dtype=torch.float64)
    c, t = torch.tensor([0.2, -0.1], dtype=torch.float64), torch.tensor([0.4 * SHIFT, -0.6 * SHIFT], dtype=torch.float64)
    expected = torch.linalg.solve(R @ S, c - t)
    assert moments(posed(blob(0.2, -0.1, 0.07, 0.07), p))[:2] == pytest.approx(expected.tolist(), abs=2e-3)


def test_beyond_the_edge_is_what_is_at_the_edge() -> None:
    x = torch.arange(8.0).expand(1, 1, 8, 8).double()
    moved = posed(x, pose(right=0.25 / SHIFT))  # by a quarter of half of 8 pixels: one pixel
    torch.testing.assert_close(moved[0, 0, 0], torch.tensor([1, 2, 3, 4, 5, 6, 7, 7], dtype=torch.float64))


def test_the_slope_in_a_pose_is_that_of_the_picture() -> None:
    """d x(u + SHIFT p) / d p = SHIFT dx/du: on a picture that rises evenly from left to right, by 1 a pixel of 2 / 8."""
    x, p = torch.arange(8.0).expand(1, 1, 8, 8).double(), pose().requires_grad_(True)
    (slope,) = torch.autograd.grad(posed(x, p)[0, 0, 4, 4], p)
    assert slope[0, 4].item() == pytest.approx(SHIFT * 8 / 2)
    assert slope[0, 5].item() == pytest.approx(0)


def test_random_affine_draws_poses_of_its_standard_deviation() -> None:
    """On a picture that rises evenly the shift of each is read off its middle pixels, which no turn, scale or slant moves in the mean."""
    n, level = 4000, 0.5
    x = torch.arange(16.0).expand(n, 1, 16, 16).double()
    moved = random_affine(x, level, Noise(("test",), slice(0, n), n, dtype=torch.float64))[:, 0, 7:9, 7:9].mean((1, 2)) - 7.5
    assert moved.mean().item() == pytest.approx(0, abs=0.03)
    assert moved.std().item() == pytest.approx(level * SHIFT * 8, rel=0.05)


def test_a_posed_decoder_puts_the_same_picture_elsewhere() -> None:
    """The decoder is shown all of the code but the pose, and its picture is moved by it."""
    model = Posed(Image(1, 4, 4), slice(1, 7), nn.Linear(3, 16)).double()
    z = torch.rand(5, 9, generator=generator("code"), dtype=torch.float64)
    expected = posed(model.decoder(z[:, [0, 7, 8]]).view(5, 1, 4, 4), z[:, 1:7])
    torch.testing.assert_close(model(z), expected)
    straight = z.clone()
    straight[:, 1:7] = 0
    torch.testing.assert_close(model(straight).flatten(1), model.decoder(z[:, [0, 7, 8]]))


def test_what_has_no_pose_is_refused() -> None:
    with pytest.raises(UserError, match="pose turns and moves pictures"):
        Posed(Vector(4), slice(1, 7), nn.Identity())
    assert Posed(Binary(1, 4, 4), place(2, 6), nn.Identity()).pose == slice(2, 8)
    with pytest.raises(UserError, match="latent must be 6 or more, not 5"):
        place(2, 5)

"""Poses of pictures: six numbers that turn, scale, slant and move a picture by an affine map of the plane.

A pose may be a part of a code: the decoder applies its map to what it makes of the rest, so that what is only turned, slanted or moved need
not be learned, nor take a cluster. The same map, at random, is what an encoder (`encoder_augment`) or a discriminator
(`discriminator_augment`) may be shown.

Shapes: B examples, C channels, H and W height and width, d numbers in a code; p_B6 poses: turn, two scales, slant, two shifts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pofx.errors import UserError
from pofx.kinds import Kind
from pofx.randomness import Noise

NUMBERS = 6  # of a pose
TURN = 0.25  # radians, for a 1 in the pose
SCALE = 0.15  # natural logarithm of width, and of height
SLANT = 0.35  # shift of a row, for its distance from the middle
SHIFT = 0.1  # of half a side


def require_pictures(x: Kind, option: str) -> None:
    """A UserError that names `option` where x is no picture, and so has no pose."""
    if len(x.shape) != 3:
        raise UserError(f"{option} turns and moves pictures (channels, height, width), not {x}: remove it")


def place(before: int, style: int) -> slice:
    """Where a pose is in a code of `before` numbers and a style: the first six of the style. A UserError where that is shorter."""
    if style < NUMBERS:
        raise UserError(f"a pose takes {NUMBERS} numbers of the style: latent must be {NUMBERS} or more, not {style}")
    return slice(before, before + NUMBERS)


def posed(x_BCHW: Tensor, p_B6: Tensor) -> Tensor:
    """The pictures x in the poses p, read between pixels by bilinear interpolation; beyond the edge, what is at the edge. Pose 0 is x.

    In coordinates that go from -1 to 1 across the picture, what comes out at u is x at R S u + t: a turn R by p_1, S which scales by p_2
    and p_3 and slants by p_4, and a shift t by p_5 and p_6.

    References:
        Spatial Transformer Networks (Jaderberg, Simonyan, Zisserman & Kavukcuoglu, 2015), arXiv 1506.02025

    Example:
        >>> x = torch.rand(2, 1, 8, 8)
        >>> torch.allclose(posed(x, torch.zeros(2, 6)), x, atol=1e-6)
        True
    """
    turn, wide, high, slant, right, down = p_B6.unbind(1)
    cos, sin = (TURN * turn).cos(), (TURN * turn).sin()
    wide, high = (SCALE * wide).exp(), (SCALE * high).exp()
    slant = SLANT * slant
    rows = [cos * wide, cos * slant - sin * high, SHIFT * right, sin * wide, sin * slant + cos * high, SHIFT * down]
    with torch.autocast(x_BCHW.device.type, enabled=False):  # places in bf16 would be a sixth of a pixel off
        where = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(x_BCHW.shape), align_corners=False)
    return F.grid_sample(x_BCHW, where, padding_mode="border", align_corners=False)


def random_affine(x_BCHW: Tensor, level: float, noise: Noise) -> Tensor:
    """Each picture under a random affine map of its own, six numbers drawn from N(0, level^2)."""
    return posed(x_BCHW, level * noise.normal(NUMBERS))


class Posed(nn.Module):
    """A decoder of codes of which six numbers are a pose: that of the picture which `decoder` makes of the others.

    Args:
        x: the pictures
        pose: where those six are in the code
        decoder: of codes without them, (B, d - 6), to logits of pictures, (B, C H W) in any shape

    Raises:
        UserError: x is no picture
    """

    def __init__(self, x: Kind, pose: slice, decoder: nn.Module):
        super().__init__()
        require_pictures(x, "pose")
        self.shape, self.pose, self.decoder = x.shape, pose, decoder

    def forward(self, z_Bd: Tensor) -> Tensor:
        """Logits of pictures, (B, C, H, W)."""
        others_Bd = torch.cat([z_Bd[:, : self.pose.start], z_Bd[:, self.pose.stop :]], dim=1)
        l_BCHW = self.decoder(others_Bd).view(-1, *self.shape)
        return posed(l_BCHW.to(z_Bd.dtype), z_Bd[:, self.pose])

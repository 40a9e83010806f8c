"""Walks through the codes of a model, ways between them, and arithmetic with attributes.

Functions of any model that encodes and decodes. They give arrays of decoded x, ready for pictures.

Shapes: B examples, S steps or strengths, d code dimensions, *shape one x.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pofx.capabilities import Decodes, Encodes, require
from pofx.errors import UserError
from pofx.model import Model, device_of, evaluating


def traverse(model: Model, x: Tensor, dimension: int, values: Sequence[float], *, code: bool = False) -> np.ndarray:
    """Decodings of x's code with one of its dimensions set to each of `values` in turn.

    Args:
        model: any model that encodes and decodes
        x: examples (B, *shape), or codes (B, d) if `code`
        dimension: which dimension of the code, from 0
        values: S values for it
        code: `x` holds codes already

    Returns:
        float32 (B, S, *shape)
    """
    z_Bd = _codes(model, x, code)
    d = z_Bd.shape[1]
    if not 0 <= dimension < d:
        raise UserError(f"dimension must be from 0 to {d - 1}, not {dimension}")
    z_BSd = z_Bd[:, None].repeat(1, len(values), 1)
    z_BSd[:, :, dimension] = torch.as_tensor(values, dtype=z_Bd.dtype, device=z_Bd.device)
    return _decoded(model, z_BSd)


def interpolate(model: Model, x0: Tensor, x1: Tensor, steps: int, *, spherical: bool = False) -> np.ndarray:
    """Decodings along the way from the code of x0 to the code of x1, both ends included.

    Args:
        model: any model that encodes and decodes
        x0: examples (B, *shape)
        x1: examples (B, *shape)
        steps: S, 2 or more
        spherical: along the great circle (White, 2016, arXiv 1609.04468) instead of the straight line, which for Gaussian codes
            passes through unlikely small norms

    Returns:
        float32 (B, S, *shape)
    """
    if steps < 2:
        raise UserError(f"steps must be 2 or more, not {steps}")
    z0_Bd, z1_Bd = _codes(model, x0), _codes(model, x1)
    if len(z0_Bd) != len(z1_Bd):
        raise UserError(f"interpolate needs as many x0 as x1, not {len(z0_Bd)} and {len(z1_Bd)}")
    return _decoded(model, way(z0_Bd, z1_Bd, steps, spherical=spherical))


def way(z0_Bd: Tensor, z1_Bd: Tensor, steps: int, *, spherical: bool = False) -> Tensor:
    """The codes on the way from each of one set to that of another, both ends included, (B, S, d): straight, or along the great circle."""
    z0_B1d, z1_B1d = z0_Bd[:, None].double(), z1_Bd[:, None].double()  # in float32 the angle of codes close to each other is lost
    t_S1 = torch.linspace(0, 1, steps, dtype=torch.float64, device=z0_Bd.device)[:, None]
    z_BSd = torch.lerp(z0_B1d, z1_B1d, t_S1)
    if spherical:
        angle_B11 = torch.cosine_similarity(z0_B1d, z1_B1d, dim=2)[..., None].clamp(-1, 1).acos()
        arc_BSd = (((1 - t_S1) * angle_B11).sin() * z0_B1d + (t_S1 * angle_B11).sin() * z1_B1d) / angle_B11.sin()
        z_BSd = torch.where(angle_B11.sin() < 1e-6, z_BSd, arc_BSd)  # parallel codes span no circle: the straight line is theirs
    return z_BSd.to(z0_Bd.dtype)


def attribute_vector(model: Model, x_with: Tensor, x_without: Tensor) -> Tensor:
    """The direction of an attribute: mean code of the examples that have it minus mean code of those that have not, (d,).

    References:
        Autoencoding beyond pixels using a learned similarity metric (Larsen et al., 2016), arXiv 1512.09300
    """
    if not len(x_with) or not len(x_without):
        raise UserError("attribute_vector needs at least one example with the attribute and one without")
    return _codes(model, x_with).mean(0) - _codes(model, x_without).mean(0)


def apply_attribute(model: Model, x: Tensor, attribute: Tensor, strengths: Sequence[float] = (1.0,)) -> np.ndarray:
    """Decodings of the codes of x (B, *shape) plus each strength times `attribute` (d,); negative ones take it away. (B, S, *shape)."""
    z_Bd = _codes(model, x)
    if attribute.shape != z_Bd.shape[1:]:
        raise UserError(f"the attribute has shape {tuple(attribute.shape)}, but a code of {model.title()} has {tuple(z_Bd.shape[1:])}")
    s_S1 = torch.as_tensor(strengths, dtype=z_Bd.dtype, device=z_Bd.device)[:, None]
    return _decoded(model, z_Bd[:, None] + s_S1 * attribute.to(z_Bd))


def _codes(model: Model, x: Tensor, code: bool = False) -> Tensor:
    encoder, _ = require(model, Encodes), require(model, Decodes)
    shape = encoder.codes.shape if code else model.inputs["x"].shape
    if tuple(x.shape[1:]) != shape and (code or not model.inputs["x"].text):  # rows of tokens are as long as the longest
        wanted = ", ".join(map(str, ("n", *shape)))
        raise UserError(f"{model.title()} takes {'codes' if code else 'x'} of shape ({wanted}), not {tuple(x.shape)}")
    x = x.to(device_of(model))
    if code:
        return x
    with evaluating(model):
        return encoder.encode(x)


def _decoded(model: Model, z_BSd: Tensor) -> np.ndarray:
    decoder = require(model, Decodes)
    with evaluating(model):
        x = decoder.decode(z_BSd.flatten(0, 1)).unflatten(0, z_BSd.shape[:2]).cpu()
    return (x.float() if x.is_floating_point() else x).numpy()

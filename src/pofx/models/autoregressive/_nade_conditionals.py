"""The conditionals of NADE and its sampler: compiled where numba is and can, by torch in chunks elsewhere.

Neither a loop over D in Python nor a tensor (batch, D, H) is affordable. numba is imported here alone, at NADE's first number; where it
cannot be, a warning says so, and torch computes the same some 20 times slower.

Shapes: B examples, D numbers of x, H hidden units, C numbers of a chunk.
"""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

CHUNK = 32  # numbers of x at a time where nothing is compiled


@cache
def compiled_loops() -> Any:
    """The module of compiled loops, imported at first use. None where numba cannot be, of which a warning tells once."""
    try:
        from pofx.models.autoregressive import _nade_kernel
    except ImportError as error:
        warnings.warn(f"NADE runs without its compiled loops, many times slower ({error}): pip install numba", stacklevel=3)
        return None
    return _nade_kernel


def _share_out(kernel: Any, blocks: int, *arguments: Tensor | int) -> None:
    """Run `kernel` over all blocks, on as many threads as torch has."""
    arrays = [argument.numpy() if isinstance(argument, Tensor) else argument for argument in arguments]
    threads = min(torch.get_num_threads(), blocks)
    if threads <= 1:
        return kernel(0, blocks, *arrays)
    cuts = pairwise(blocks * t // threads for t in range(threads + 1))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda cut: kernel(*cut, *arrays), cuts))


def _padded(*weights: Tensor) -> list[Tensor]:
    """With idle hidden units up to whole cache lines, so that each row begins one."""
    return [F.pad(weight.detach(), (0, -weight.shape[-1] % compiled_loops().LINE)) for weight in weights]


class _Logits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_BD, order_D, W_DH, c_H, V_DH, b_D):
        ctx.save_for_backward(x_BD, order_D, W_DH, c_H, V_DH)
        logits_BD, loops = torch.empty_like(x_BD), compiled_loops()
        _share_out(loops.logits, -(-len(x_BD) // loops.TOGETHER), x_BD, order_D, *_padded(W_DH, c_H, V_DH), b_D, logits_BD)
        return logits_BD

    @staticmethod
    @once_differentiable
    def backward(ctx, g_BD):
        (x_BD, order_D, W_DH, c_H, V_DH), loops = ctx.saved_tensors, compiled_loops()
        dW_DH, dc_H, dV_DH = torch.empty_like(W_DH), torch.empty_like(c_H), torch.empty_like(V_DH)
        blocks = -(-len(c_H) // loops.WIDTH)
        width = -(-len(c_H) // (blocks * loops.LINE)) * loops.LINE
        _share_out(loops.gradients, blocks, width, x_BD, order_D, W_DH, c_H, V_DH, g_BD.contiguous(), dW_DH, dc_H, dV_DH)
        return None, None, dW_DH, dc_H, dV_DH, g_BD.sum(0)


def _compiles(x_BD: Tensor, *parameters: Tensor) -> bool:
    plain = x_BD.device.type == "cpu" and x_BD.dtype in (torch.float32, torch.float64) and all(p.dtype == x_BD.dtype for p in parameters)
    return plain and compiled_loops() is not None


def nade_logits(x_BD: Tensor, order_D: Tensor, W_DH: Tensor, c_H: Tensor, V_DH: Tensor, b_D: Tensor) -> Tensor:
    """The logit of every p(x_d = 1 | what comes before d in `order_D`), (B, D); row d of W and V belongs to x_d.

    In single and double precision on the CPU it is compiled; elsewhere, and where a gradient by x is asked for, torch does it in chunks
    of D.

    Example:
        >>> x, order, W, c = torch.tensor([[1.0, 0.0, 1.0]]), torch.tensor([0, 1, 2]), torch.zeros(3, 4), torch.zeros(4)
        >>> nade_logits(x, order, W, c, torch.ones(3, 4), torch.zeros(3))  # four units at sigmoid(0)
        tensor([[2., 2., 2.]])
    """
    if len(x_BD) and not x_BD.requires_grad and _compiles(x_BD, W_DH, c_H, V_DH, b_D):
        return _Logits.apply(*(tensor.contiguous() for tensor in (x_BD, order_D, W_DH, c_H, V_DH, b_D)))
    order_D = order_D.to(x_BD.device)
    a_BH, logits = c_H.expand(len(x_BD), -1), []
    for order_C in order_D.split(CHUNK):
        a_BH, logits_BC = checkpoint(
            _chunk, a_BH, x_BD[:, order_C], W_DH[order_C], V_DH[order_C], b_D[order_C], use_reentrant=False, preserve_rng_state=False
        )
        logits.append(logits_BC)
    return torch.cat(logits, 1)[:, order_D.argsort()]


def _chunk(a_BH: Tensor, x_BC: Tensor, W_CH: Tensor, V_CH: Tensor, b_C: Tensor) -> tuple[Tensor, Tensor]:
    before_CC = torch.ones(len(W_CH), len(W_CH), device=x_BC.device, dtype=x_BC.dtype).tril(-1)
    h_BCH = (a_BH[:, None] + (x_BC[:, None] * before_CC) @ W_CH).sigmoid()
    return a_BH + x_BC @ W_CH, (h_BCH * V_CH).sum(2) + b_C


def nade_fill(x_BD: Tensor, known_BD: Tensor, u_BD: Tensor, order_D: Tensor, W_DH: Tensor, c_H: Tensor, V_DH: Tensor, b_D: Tensor) -> bool:
    """Draw what is not known of x from uniform numbers, in place, where that is compiled; False where it is not."""
    if not len(x_BD) or not x_BD.is_contiguous() or not _compiles(x_BD, u_BD, W_DH, c_H, V_DH, b_D):
        return False
    given, loops = [tensor.detach().contiguous() for tensor in (known_BD, u_BD, order_D)], compiled_loops()
    _share_out(loops.fill, -(-len(x_BD) // loops.TOGETHER), x_BD.detach(), *given, *_padded(W_DH, c_H, V_DH), b_D.detach())
    return True

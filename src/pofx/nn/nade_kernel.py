"""The conditionals of NADE, their gradient and its sampler, compiled: O(DH) an example, and no tensor of B x D x H numbers anywhere.

    a = c;  for d in order:  h = sigmoid(a);  logit_d = b_d + V_d h;  a = a + x_d W_d

The hidden state changes only after x_d != 0, which is at 13 % of the pixels of binarised MNIST: so there are that few sigmoids.
What remains is two numbers of V and dV read for each multiplication. A few examples therefore go over the rows of V together, so that a
row comes out of the cache nearest to the processor; the gradient keeps the hidden states of those few examples alone.

Threads share out fixed blocks, of examples where logits are made and of hidden units where gradients are: each number is summed up by one
thread in one order, so the number of threads changes no bit.

Shapes: B examples, D numbers of x, H hidden units, S hidden states of an example: one more than it has ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

TOGETHER = 8  # examples that go over the rows of V together
WIDTH = 256  # hidden units in a block of the gradient: w, v, dw and dv of a block stay in the second cache
CHUNK = 32  # numbers of x at a time where nothing is compiled

# Sums may be reordered and products contracted, but what is not finite stays so: the engine looks for it.
FAST = {"reassoc", "contract", "nsz", "arcp"}


def compiled(function: Callable) -> Any:
    """`function` as machine code, kept on disk where there is a folder to write to."""
    flags: dict[str, Any] = {"fastmath": FAST, "nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **flags)(function)
    except RuntimeError:
        return njit(**flags)(function)


@intrinsic
def _power_of_two(context: Any, n: Any) -> Any:
    """2^n for a whole n, written into the exponent of a float."""
    bits, mantissa, bias = (32, 23, 127) if n == types.float32 else (64, 52, 1023)

    def code(context, builder, signature, args):
        exponent = builder.fptosi(args[0], ir.IntType(bits))
        biased = builder.add(exponent, exponent.type(bias))
        return builder.bitcast(builder.shl(biased, exponent.type(mantissa)), args[0].type)

    return n(n), code


def _sigmoid(a):
    """1 / (1 + exp(-a)), to the last digits: exp by its series around the nearest power of 2, which, unlike a library's, is vectorised."""


@overload(_sigmoid, jit_options={"fastmath": {"contract", "nsz"}, "error_model": "numpy"})
def _(a):
    real, terms, widest = (np.float32, 7, 87) if a == types.float32 else (np.float64, 13, 700)
    series = tuple(real(1 / math.factorial(k)) for k in range(terms, -1, -1))
    zero, one, limit, log2_e, ln_2 = real(0), real(1), real(widest), real(1 / math.log(2)), real(math.log(2))

    def sigmoid(a):
        t = limit if -a > limit else -a  # NaN is above nothing, and stays
        t = -limit if t < -limit else t
        n = np.rint(t * log2_e)
        r = t - n * ln_2
        exp_r = zero
        for factor in series:
            exp_r = exp_r * r + factor
        return one / (one + exp_r * _power_of_two(n))  # type: ignore[call-arg]  # the compiler gives the context

    return sigmoid


@compiled
def _activate(a_H, h_SH, s):
    for j in range(len(a_H)):
        h_SH[s, j] = _sigmoid(a_H[j])


@compiled
def _add_row(t, w_DH, d, a_H):
    for j in range(len(a_H)):
        a_H[j] += t * w_DH[d, j]


@compiled
def _logit(b, v_DH, d, h_SH, s):
    for j in range(v_DH.shape[1]):
        b += v_DH[d, j] * h_SH[s, j]
    return b


@compiled
def _logits(first, last, x_BD, order_D, w_DH, c_H, v_DH, b_D, logits_BD):
    """Blocks `first` to `last` of TOGETHER examples."""
    B, H = len(x_BD), len(c_H)
    a_EH, h_EH = np.empty((TOGETHER, H), w_DH.dtype), np.empty((TOGETHER, H), w_DH.dtype)
    for block in range(first, last):
        start = block * TOGETHER
        E = min(TOGETHER, B - start)
        for e in range(E):
            a_EH[e] = c_H
            _activate(c_H, h_EH, e)
        for d in order_D:
            for e in range(E):
                logits_BD[start + e, d] = _logit(b_D[d], v_DH, d, h_EH, e)
            for e in range(E):
                x = x_BD[start + e, d]
                if x != 0:
                    _add_row(x, w_DH, d, a_EH[e])
                    _activate(a_EH[e], h_EH, e)


@compiled
def _below_logit(t, h_SH, s, v_DH, dv_DH, d, dh_EH, e):
    for j in range(h_SH.shape[1]):
        dv_DH[d, j] += t * h_SH[s, j]
        dh_EH[e, j] += t * v_DH[d, j]


@compiled
def _below_state(x, h_SH, s, dh_EH, da_EH, e, dw_DH, d):
    for j in range(h_SH.shape[1]):
        h = h_SH[s, j]
        da = da_EH[e, j] + dh_EH[e, j] * (h - h * h)
        dw_DH[d, j] += x * da
        da_EH[e, j], dh_EH[e, j] = da, 0


@compiled
def _gradients(first, last, x_BD, order_D, W_DH, c_H, V_DH, g_BD, dW_DH, dc_H, dV_DH):
    """Blocks `first` to `last` of WIDTH hidden units, from g, the gradient of the logits."""
    B, D = x_BD.shape
    S = 1 + max([np.count_nonzero(x_D) for x_D in x_BD])
    top_E = np.empty(TOGETHER, np.int64)  # the state that an example is in
    for block in range(first, last):
        here = slice(block * WIDTH, min(len(c_H), (block + 1) * WIDTH))
        w_DH, v_DH, c = W_DH[:, here].copy(), V_DH[:, here].copy(), c_H[here]
        H = len(c)
        dw_DH, dv_DH, dc = np.zeros_like(w_DH), np.zeros_like(v_DH), np.zeros_like(c)
        a_H, h_SH = np.empty_like(c), np.empty((TOGETHER * S, H), c.dtype)
        da_EH, dh_EH = np.empty((TOGETHER, H), c.dtype), np.empty((TOGETHER, H), c.dtype)
        for start in range(0, B, TOGETHER):
            E = min(TOGETHER, B - start)
            da_EH[:], dh_EH[:] = 0, 0
            for e in range(E):
                s = e * S
                a_H[:] = c
                _activate(a_H, h_SH, s)
                for d in order_D:
                    x = x_BD[start + e, d]
                    if x != 0:
                        s += 1
                        _add_row(x, w_DH, d, a_H)
                        _activate(a_H, h_SH, s)
                top_E[e] = s
            for i in range(D - 1, -1, -1):
                d = order_D[i]
                for e in range(E):
                    x = x_BD[start + e, d]
                    if x != 0:
                        _below_state(x, h_SH, top_E[e], dh_EH, da_EH, e, dw_DH, d)
                        top_E[e] -= 1
                    _below_logit(g_BD[start + e, d], h_SH, top_E[e], v_DH, dv_DH, d, dh_EH, e)
            for e in range(E):
                for j in range(H):
                    h = h_SH[e * S, j]
                    dc[j] += da_EH[e, j] + dh_EH[e, j] * (h - h * h)
        dW_DH[:, here], dV_DH[:, here], dc_H[here] = dw_DH, dv_DH, dc


@compiled
def _fill(first, last, x_BD, known_BD, u_BD, order_D, w_DH, c_H, v_DH, b_D):
    """Blocks `first` to `last` of TOGETHER examples."""
    B, H = len(x_BD), len(c_H)
    a_EH, h_EH = np.empty((TOGETHER, H), w_DH.dtype), np.empty((TOGETHER, H), w_DH.dtype)
    for block in range(first, last):
        start = block * TOGETHER
        E = min(TOGETHER, B - start)
        for e in range(E):
            a_EH[e] = c_H
            _activate(c_H, h_EH, e)
        for d in order_D:
            for e in range(E):
                if not known_BD[start + e, d]:
                    x_BD[start + e, d] = u_BD[start + e, d] < _sigmoid(_logit(b_D[d], v_DH, d, h_EH, e))
                x = x_BD[start + e, d]
                if x != 0:
                    _add_row(x, w_DH, d, a_EH[e])
                    _activate(a_EH[e], h_EH, e)


def _share_out(kernel: Any, blocks: int, *arguments: Tensor) -> None:
    """Run `kernel` over all blocks, on as many threads as torch has."""
    arrays = [argument.numpy() for argument in arguments]
    threads = min(torch.get_num_threads(), blocks)
    if threads <= 1:
        return kernel(0, blocks, *arrays)
    cuts = pairwise(blocks * t // threads for t in range(threads + 1))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda cut: kernel(*cut, *arrays), cuts))


class _Logits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_BD, order_D, W_DH, c_H, V_DH, b_D):
        ctx.save_for_backward(x_BD, order_D, W_DH, c_H, V_DH)
        logits_BD = torch.empty_like(x_BD)
        _share_out(_logits, -(-len(x_BD) // TOGETHER), x_BD, order_D, W_DH, c_H, V_DH, b_D, logits_BD)
        return logits_BD

    @staticmethod
    @once_differentiable
    def backward(ctx, g_BD):
        x_BD, order_D, W_DH, c_H, V_DH = ctx.saved_tensors
        dW_DH, dc_H, dV_DH = torch.empty_like(W_DH), torch.empty_like(c_H), torch.empty_like(V_DH)
        blocks = -(-len(c_H) // WIDTH)
        _share_out(_gradients, blocks, x_BD, order_D, W_DH, c_H, V_DH, g_BD.contiguous(), dW_DH, dc_H, dV_DH)
        return None, None, dW_DH, dc_H, dV_DH, g_BD.sum(0)


def _compiles(x_BD: Tensor, *parameters: Tensor) -> bool:
    return x_BD.device.type == "cpu" and x_BD.dtype in (torch.float32, torch.float64) and all(p.dtype == x_BD.dtype for p in parameters)


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
    rest = [tensor.detach().contiguous() for tensor in (known_BD, u_BD, order_D, W_DH, c_H, V_DH, b_D)]
    _share_out(_fill, -(-len(x_BD) // TOGETHER), x_BD.detach(), *rest)
    return True

"""The conditionals of NADE, their gradient and its sampler, compiled: O(DH) an example, and no tensor of B x D x H numbers anywhere.

    a = c;  for d in order:  h = sigmoid(a);  logit_d = b_d + V_d h;  a = a + x_d W_d

The hidden state changes only after x_d != 0, which is at 13 % of the pixels of binarised MNIST: so there are that few sigmoids.
What remains are multiplications by rows of V, bound by what comes out of the cache. So a few examples go over the rows together, which then
lie in the nearest cache; where the state stays the same, four rows meet it at once; and every vector begins at the start of a cache line.
The gradient makes the hidden states of those few examples again instead of keeping those of a batch.

Threads share out fixed blocks, of examples where logits are made and of hidden units where gradients are: each number is summed up by one
thread in one order, so the number of threads changes no bit.

Shapes: B examples, D numbers of x, H hidden units, S hidden states of an example: one more than it has ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, overload

TOGETHER = 8  # examples that go over the rows of V together
WIDTH = 256  # hidden units in a block of the gradient, at most: what it works on stays in the second cache
LINE = 16  # numbers; the bytes of a cache line, in single precision

# Sums may be reordered and products contracted, but what is not finite stays so: the engine looks for it.
FLAGS: dict[str, Any] = {"fastmath": {"reassoc", "contract", "nsz", "arcp"}, "nogil": True, "error_model": "numpy"}


def compiled(function: Callable) -> Any:
    """`function` as machine code, kept on disk where there is a folder to write to."""
    try:
        return njit(cache=True, **FLAGS)(function)
    except RuntimeError:
        return njit(**FLAGS)(function)


# Part of the loop that it stands in: a call would count references to each array, which takes as long as a row of work.
inlined = njit(inline="always", **FLAGS)


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


@inlined
def _lines(rows, width, like):
    """Memory for (rows, width) numbers from the start of a cache line on: a vector that lies across two lines takes twice as
    long."""
    line = 64 // like.itemsize
    memory = np.empty(rows * width + line, like.dtype)
    start = -(memory.ctypes.data // like.itemsize) % line
    return memory[start : start + rows * width].reshape(rows, width)


@inlined
def _enter(h_EH, e, a_EH, k):
    for j in range(h_EH.shape[1]):
        h_EH[e, j] = _sigmoid(a_EH[k, j])


@inlined
def _pass(x, w_DH, d, a_EH, e):
    for j in range(w_DH.shape[1]):
        a_EH[e, j] += x * w_DH[d, j]


@inlined
def _logit(b, v_DH, d, h_EH, e):
    for j in range(h_EH.shape[1]):
        b += v_DH[d, j] * h_EH[e, j]
    return b


@inlined
def _four_logits(b_D, v_DH, d0, d1, d2, d3, h_EH, e):
    b0, b1, b2, b3 = b_D[d0], b_D[d1], b_D[d2], b_D[d3]
    for j in range(h_EH.shape[1]):
        h = h_EH[e, j]
        b0 += v_DH[d0, j] * h
        b1 += v_DH[d1, j] * h
        b2 += v_DH[d2, j] * h
        b3 += v_DH[d3, j] * h
    return b0, b1, b2, b3


@inlined
def _same_state(x_BD, b, order_D, i):
    """Whether there are four numbers from the i-th on, and all see the same hidden state."""
    return i + 4 <= len(order_D) and x_BD[b, order_D[i]] == 0 and x_BD[b, order_D[i + 1]] == 0 and x_BD[b, order_D[i + 2]] == 0


@compiled
def logits(first, last, x_BD, order_D, w_DH, c_H, v_DH, b_D, logits_BD):
    """Blocks `first` to `last` of TOGETHER examples."""
    B, D = x_BD.shape
    H = len(c_H)
    a_EH, h_EH = _lines(TOGETHER, H, c_H), _lines(TOGETHER, H, c_H)
    for block in range(first, last):
        start = block * TOGETHER
        E = min(TOGETHER, B - start)
        for e in range(E):
            a_EH[e] = c_H
            _enter(h_EH, e, a_EH, e)
        for i in range(0, D, 4):
            for e in range(E):
                b = start + e
                same = _same_state(x_BD, b, order_D, i)
                if same:
                    d0, d1, d2, d3 = order_D[i], order_D[i + 1], order_D[i + 2], order_D[i + 3]
                    logits_BD[b, d0], logits_BD[b, d1], logits_BD[b, d2], logits_BD[b, d3] = _four_logits(
                        b_D, v_DH, d0, d1, d2, d3, h_EH, e
                    )
                for k in range(i + 3 if same else i, min(i + 4, D)):
                    d = order_D[k]
                    if not same:
                        logits_BD[b, d] = _logit(b_D[d], v_DH, d, h_EH, e)
                    x = x_BD[b, d]
                    if x != 0:
                        _pass(x, w_DH, d, a_EH, e)
                        _enter(h_EH, e, a_EH, e)


@inlined
def _below_logit(g, h_SH, s, v_DH, dv_DH, i, dh_EH, e):
    for j in range(h_SH.shape[1]):
        dv_DH[i, j] += g * h_SH[s, j]
        dh_EH[e, j] += g * v_DH[i, j]


@inlined
def _below_four_logits(g0, g1, g2, g3, h_SH, s, v_DH, dv_DH, i, dh_EH, e):
    for j in range(h_SH.shape[1]):
        h = h_SH[s, j]
        dv_DH[i, j] += g0 * h
        dv_DH[i + 1, j] += g1 * h
        dv_DH[i + 2, j] += g2 * h
        dv_DH[i + 3, j] += g3 * h
        dh_EH[e, j] += g0 * v_DH[i, j] + g1 * v_DH[i + 1, j] + g2 * v_DH[i + 2, j] + g3 * v_DH[i + 3, j]


@inlined
def _below_state(x, h_SH, s, dh_EH, da_EH, e, dw_DH, i):
    for j in range(h_SH.shape[1]):
        h = h_SH[s, j]
        da = da_EH[e, j] + dh_EH[e, j] * (h - h * h)
        dw_DH[i, j] += x * da
        da_EH[e, j] = da
        dh_EH[e, j] = 0


@compiled
def gradients(first, last, width, x_BD, order_D, W_DH, c_H, V_DH, g_BD, dW_DH, dc_H, dV_DH):
    """Blocks `first` to `last` of `width` hidden units, from g, the gradient of the logits. A block has its rows in their order."""
    B, D = x_BD.shape
    S = 1 + max([np.count_nonzero(x_D) for x_D in x_BD])
    top_E = np.empty(TOGETHER, np.int64)  # the state that an example is in
    h_SH, a_1H = _lines(TOGETHER * S, width, c_H), _lines(1, width, c_H)
    da_EH, dh_EH = _lines(TOGETHER, width, c_H), _lines(TOGETHER, width, c_H)
    w_DH, v_DH, dw_DH, dv_DH = _lines(D, width, c_H), _lines(D, width, c_H), _lines(D, width, c_H), _lines(D, width, c_H)
    c_1H, dc_1H = np.zeros((1, width), c_H.dtype), np.zeros((1, width), c_H.dtype)
    w_DH[:], v_DH[:] = 0, 0
    for block in range(first, last):
        low, high = block * width, min(len(c_H), (block + 1) * width)
        for i in range(D):
            w_DH[i, : high - low] = W_DH[order_D[i], low:high]
            v_DH[i, : high - low] = V_DH[order_D[i], low:high]
        c_1H[0, : high - low] = c_H[low:high]
        dw_DH[:], dv_DH[:], dc_1H[:] = 0, 0, 0
        for start in range(0, B, TOGETHER):
            E = min(TOGETHER, B - start)
            da_EH[:], dh_EH[:] = 0, 0
            for e in range(E):
                s = e * S
                a_1H[:] = c_1H
                _enter(h_SH, s, a_1H, 0)
                for i in range(D):
                    x = x_BD[start + e, order_D[i]]
                    if x != 0:
                        s += 1
                        _pass(x, w_DH, i, a_1H, 0)
                        _enter(h_SH, s, a_1H, 0)
                top_E[e] = s
            for i in range((D - 1) // 4 * 4, -1, -4):
                for e in range(E):
                    b = start + e
                    same = _same_state(x_BD, b, order_D, i)
                    for k in range(min(i + 4, D) - 1, i + 2 if same else i - 1, -1):
                        x = x_BD[b, order_D[k]]
                        if x != 0:
                            _below_state(x, h_SH, top_E[e], dh_EH, da_EH, e, dw_DH, k)
                            top_E[e] -= 1
                        if not same:
                            _below_logit(g_BD[b, order_D[k]], h_SH, top_E[e], v_DH, dv_DH, k, dh_EH, e)
                    if same:
                        g0, g1, g2, g3 = g_BD[b, order_D[i]], g_BD[b, order_D[i + 1]], g_BD[b, order_D[i + 2]], g_BD[b, order_D[i + 3]]
                        _below_four_logits(g0, g1, g2, g3, h_SH, top_E[e], v_DH, dv_DH, i, dh_EH, e)
            for e in range(E):
                _below_state(0, h_SH, e * S, dh_EH, da_EH, e, dw_DH, 0)
                for j in range(h_SH.shape[1]):
                    dc_1H[0, j] += da_EH[e, j]
        for i in range(D):
            dW_DH[order_D[i], low:high] = dw_DH[i, : high - low]
            dV_DH[order_D[i], low:high] = dv_DH[i, : high - low]
        dc_H[low:high] = dc_1H[0, : high - low]


@compiled
def fill(first, last, x_BD, known_BD, u_BD, order_D, w_DH, c_H, v_DH, b_D):
    """Blocks `first` to `last` of TOGETHER examples."""
    B, H = len(x_BD), len(c_H)
    a_EH, h_EH = _lines(TOGETHER, H, c_H), _lines(TOGETHER, H, c_H)
    for block in range(first, last):
        start = block * TOGETHER
        E = min(TOGETHER, B - start)
        for e in range(E):
            a_EH[e] = c_H
            _enter(h_EH, e, a_EH, e)
        for d in order_D:
            for e in range(E):
                if not known_BD[start + e, d]:
                    x_BD[start + e, d] = u_BD[start + e, d] < _sigmoid(_logit(b_D[d], v_DH, d, h_EH, e))
                x = x_BD[start + e, d]
                if x != 0:
                    _pass(x, w_DH, d, a_EH, e)
                    _enter(h_EH, e, a_EH, e)

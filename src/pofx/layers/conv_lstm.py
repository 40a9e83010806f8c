"""Convolutional LSTMs that scan a map line by line: the whole scan is one function with a backward pass of its own.

Shapes: S scans at once, N places of the map in the order of the lines, B examples, C units of the state, K taps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def lstm_cell(gates: Tensor, c: Tensor | float) -> tuple[Tensor, Tensor]:
    """One step of an LSTM.

    Args:
        gates: the sums that enter input gate, forget gate, output gate and content, (..., 4C)
        c: the cell before, (..., C), or 0

    Returns:
        h and c, (..., C) each

    Example:
        >>> h, c = lstm_cell(torch.zeros(2, 4 * 3), torch.ones(2, 3))  # the forget gate at a half
        >>> c
        tensor([[0.5000, 0.5000, 0.5000],
                [0.5000, 0.5000, 0.5000]])
    """
    i, f, o, g = gates.chunk(4, -1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    return o.sigmoid() * c.tanh(), c


@dataclass(frozen=True)
class Lines:
    """The lines of a scan, one after another, and what each place reads from the line before.

    Args:
        spans: of each line, its first position and the one after its last
        taps: position p takes in the state at p + tap of the line before, for each tap; its cell is the one at p

    Attributes:
        lines: of each line, its places
        state_links: of each line, for each tap, the places that take in a state and the places they take it from
        cell_links: of each line, the places whose cell goes on and the places where it was

    Example:
        >>> rows = Lines(((0, 3), (0, 3)), taps=(-1, 0))  # two rows of three pixels
        >>> rows.state_links[1]  # pixels 4 and 5 take in 0 and 1; 3, 4 and 5 take in 0, 1 and 2
        ((slice(4, 6, None), slice(0, 2, None)), (slice(3, 6, None), slice(0, 3, None)))
    """

    spans: tuple[tuple[int, int], ...]
    taps: tuple[int, ...]
    lines: tuple[slice, ...] = field(init=False)
    state_links: tuple[tuple[tuple[slice, slice], ...], ...] = field(init=False)
    cell_links: tuple[tuple[slice, slice], ...] = field(init=False)

    def __post_init__(self) -> None:
        starts, T = [0], range(len(self.spans))
        for first, end in self.spans:
            starts.append(starts[-1] + end - first)

        def link(t: int, tap: int) -> tuple[slice, slice]:
            (low, high), (low_before, high_before) = self.spans[t], self.spans[t - 1] if t else (0, 0)
            first = max(low, low_before - tap)
            to, source = starts[t] + first - low, starts[t - 1] + first + tap - low_before
            length = max(0, min(high, high_before - tap) - first)
            return slice(to, to + length), slice(source, source + length)

        object.__setattr__(self, "lines", tuple(slice(starts[t], starts[t + 1]) for t in T))
        object.__setattr__(self, "state_links", tuple(tuple(link(t, tap) for tap in self.taps) for t in T))
        object.__setattr__(self, "cell_links", tuple(link(t, 0) for t in T))


def scan(gates: Sequence[Tensor], W_SKG: Tensor, lines: Lines, places_SN: Tensor) -> tuple[Tensor, ...]:
    """The states of convolutional LSTMs that go through a map line by line.

    At each place the sums of the gates are `gates` + (the states that the place takes in) W; then comes `lstm_cell`.

    Args:
        gates: of each scan, what enters each place from below, S times (N, B, 4C)
        W_SKG: from the states that a place takes in, tap by tap, to its gates, (S, K C, 4C); beyond the ends of a line it takes in zeros
        lines: of the scans
        places_SN: of each scan, which place of the map comes when, line after line, int64 (S, N)

    Returns:
        of each scan, h of each place of the map, S times (N, B, C)

    Example:
        >>> gates, W = torch.randn(6, 2, 4 * 5), torch.randn(1, 2 * 5, 4 * 5)  # two rows of three pixels, two examples, five units
        >>> (h,) = scan([gates], W, Lines(((0, 3), (0, 3)), taps=(-1, 0)), torch.arange(6)[None])
        >>> h.shape
        torch.Size([6, 2, 5])
    """
    if torch.compiler.is_compiling():  # its many small steps in place are no graph to be compiled
        return torch.compiler.disable(_scan)(gates, W_SKG, lines, places_SN)  # type: ignore[no-any-return, no-untyped-call]
    return _scan(gates, W_SKG, lines, places_SN)


def _scan(gates: Sequence[Tensor], W_SKG: Tensor, lines: Lines, places_SN: Tensor) -> tuple[Tensor, ...]:
    with torch.autocast(W_SKG.device.type, enabled=False):  # sums over many steps want all digits
        dtype = torch.promote_types(W_SKG.dtype, torch.float32)
        h: tuple[Tensor, ...] = _Scan.apply(lines, places_SN, W_SKG.to(dtype), *[g.to(dtype) for g in gates])  # type: ignore[no-untyped-call]
        return h


class _Scan(torch.autograd.Function):
    """`scan` without a graph of its steps: gates, cells and the states taken in are stored, and W's gradient is one product after the way
    back.

    tanh(a) = 2 sigmoid(2a) - 1, so with the sums of the content doubled one sigmoid serves all four gates (torch's tanh takes ten times
    as long).
    """

    @staticmethod
    def forward(ctx: Any, lines: Lines, places: Tensor, W: Tensor, *entering: Tensor) -> tuple[Tensor, ...]:
        (N, B, G), S, C = entering[0].shape, len(W), entering[0].shape[2] // 4
        gates = W.new_empty(S, N, B, G)
        for s in range(S):
            torch.index_select(entering[s], 0, places[s], out=gates[s])
        doubled = torch.ones(G, dtype=W.dtype, device=W.device)
        doubled[3 * C :] = 2
        gates *= doubled
        W2 = W * doubled
        taps_in = gates.new_zeros(S, N, B, W.shape[1])
        h, c, tanh = (gates.new_empty(S, N, B, C) for _ in range(3))
        for t, line in enumerate(lines.lines):
            if t:
                for k, (to, source) in enumerate(lines.state_links[t]):
                    taps_in[:, to, :, k * C : (k + 1) * C] = h[:, source]
                sums = gates[:, line].flatten(1, 2)
                torch.baddbmm(sums, taps_in[:, line].flatten(1, 2), W2, out=sums)
            i, _, o, g = gates[:, line].sigmoid_().chunk(4, -1)
            g.mul_(2).sub_(1)
            torch.mul(i, g, out=c[:, line])
            if t:
                to, source = lines.cell_links[t]
                c[:, to].addcmul_(gates[:, to, :, C : 2 * C], c[:, source])
            torch.mul(c[:, line], 2, out=tanh[:, line]).sigmoid_().mul_(2).sub_(1)
            torch.mul(o, tanh[:, line], out=h[:, line])
        back = places.argsort(1)
        ctx.save_for_backward(places, back, gates, W, taps_in, c, tanh)
        ctx.lines = lines
        return tuple(h[s].index_select(0, back[s]) for s in range(S))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *dh_map: Tensor) -> tuple[Tensor | None, ...]:
        places, back, gates, W, taps_in, c, tanh = ctx.saved_tensors
        lines, (S, _, B, C) = ctx.lines, c.shape
        with torch.autocast(c.device.type, enabled=False):
            dh = torch.empty_like(c)  # gathers what later lines take in
            for s in range(S):
                torch.index_select(dh_map[s], 0, places[s], out=dh[s])
            dc = torch.zeros_like(c)  # gathers what later cells keep
            dgates, WT = torch.empty_like(gates), W.mT.contiguous()
            for t in reversed(range(len(lines.lines))):
                line = lines.lines[t]
                i, f, o, g = gates[:, line].chunk(4, -1)
                di, df, do, dg = dgates[:, line].chunk(4, -1)
                dc_t, tanh_t = dc[:, line], tanh[:, line]
                # h = o tanh(c): dc += dh o (1 - tanh^2)
                dh_o = dh[:, line].mul_(o)
                dc_t.add_(dh_o)
                dh_o.mul_(tanh_t)
                dc_t.addcmul_(dh_o, tanh_t, value=-1)
                torch.addcmul(dh_o, dh_o, o, value=-1, out=do)  # dh tanh o (1 - o)
                dc_i = torch.mul(dc_t, i)
                torch.mul(dc_i, g, out=di)
                torch.addcmul(dc_i, di, g, value=-1, out=dg)  # dc i (1 - g^2)
                di.addcmul_(di, i, value=-1)  # dc g i (1 - i)
                to, source = lines.cell_links[t]
                if not t or to != line:
                    df.zero_()  # of the places whose cell began here
                if not t:
                    break
                f, df = gates[:, to, :, C : 2 * C], dgates[:, to, :, C : 2 * C]
                carried = torch.mul(dc[:, to], f)
                dc[:, source] += carried
                torch.mul(carried, c[:, source], out=df)
                df.addcmul_(df, f, value=-1)  # dc c_before f (1 - f)
                dheard = torch.bmm(dgates[:, line].flatten(1, 2), WT).unflatten(1, (-1, B))
                for k, (to, source) in enumerate(lines.state_links[t]):
                    dh[:, source] += dheard[:, to.start - line.start : to.stop - line.start, :, k * C : (k + 1) * C]
            dW = torch.bmm(taps_in.flatten(1, 2).mT, dgates.flatten(1, 2))
            return None, None, dW, *(dgates[s].index_select(0, back[s]) for s in range(S))

"""The n-gram Markov model of text: counts of what came after the last few tokens.

Shapes: B rows, L tokens of x, n the order; N places in a text, C = n - 1 tokens of context, W tokens that may be drawn, P pairs of a
place and a token, K cells that one n-gram is counted in, M cells in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from pofx.bases.token_model import DecoderCache, EncoderOutput, TokenModel
from pofx.kinds import Tokens
from pofx.options import Size
from pofx.plan import Batch, ClosedForm, Player, Stage, no_loss
from pofx.randomness import Noise

HASHES = 4  # cells that an n-gram is counted in where it has none of its own
ABSENT = -1  # in a context: nothing was read there
MIX = -7046029254386353131  # 2^64 / the golden ratio, as int64: it spreads what it multiplies over the high bits
AT_ONCE = 2**20  # counts that are looked up at once, which bounds the memory that scoring needs


class NGram(TokenModel):
    """n-gram Markov model: a token depends on the n - 1 before it, by interpolated Witten-Bell smoothing of counts.

    With c(h w) the times that w came after the tokens h, c(h) their sum over w, T(h) the number of different w that came, and h' the
    context without its oldest token:

        p(w | h) = (c(h w) + T(h) p(w | h')) / (c(h) + T(h)),   p(w | h') where h never came,   1 / W at last

    At its beginning a row has fewer tokens of context, and the first is predicted from none: of running text, that is how often it comes;
    of rows that end, how often it begins one.

    The counts are sums over one pass. Short n-grams, as long as all V^k of them fit in half the cells, are counted exactly. Longer ones
    share the rest: each is counted in four cells that a hash chooses, and has the least of the four counts, and no higher one than its own
    end without the first token, so that a count is never too low and seldom too high. c(h) and T(h) are sums of the counts that are looked
    up: so p sums to 1 whatever cells are shared.

    Every window counts each of its tokens once. In windows that overlap, the same n-gram would be counted in each that it lies in; then c
    would outweigh T and nothing be smoothed. So running text is cut into windows that do not overlap.

    References:
        A Mathematical Theory of Communication (Shannon, 1948), section 3
        The zero-frequency problem (Witten & Bell, 1991), doi:10.1109/18.87000: method C
        An empirical study of smoothing techniques for language modeling (Chen & Goodman, 1999): its interpolated form
        An improved data stream summary: the count-min sketch (Cormode & Muthukrishnan, 2005)

    Args:
        x: sequences of tokens
        order: n, tokens in an n-gram; 1 is how often each token comes
        cells: numbers that counts are kept in; several times the different n-grams of the text, four times over, keeps them apart

    Example:
        >>> abab = NGram(Tokens(vocabulary=4, length=4, ends=False), order=2, cells=100)
        >>> abab.solve(abab.statistics({"x": torch.tensor([[2, 3, 2, 3]])}))
        >>> abab.log_prob(torch.tensor([[2, 3]])).exp()  # a: (2 + 2/2) / (4 + 2); b after a: (2 + 1/2) / (2 + 1)
        tensor([0.4167])
    """

    paper: ClassVar = ("Shannon", 1948, "doi:10.1002/j.1538-7305.1948.tb01338.x")
    small: ClassVar = {"order": 3, "cells": 4096}
    counts: Tensor

    def __init__(self, x: Tokens, *, order: Size = 5, cells: Size = 2**24):
        super().__init__(x)
        self.order, V, C = order, x.vocabulary, order - 1
        self.begin = [ABSENT] * (C - 1) + [x.pad if x.ends else ABSENT] if C else []  # what is read before a row

        def shorter(k: int) -> int:
            return sum(V**j for j in range(1, k))

        self.own = order if shorter(order + 1) <= cells else max(k for k in range(order) if shorter(k + 1) <= cells // 2)
        self.begins = [shorter(k) for k in range(self.own + 2)]  # where n-grams of k tokens begin; at the last, those that share cells
        self.register_buffer("counts", torch.zeros(self.begins[-1] if self.own == order else cells))

    @property
    def parameter_count(self) -> int:
        """The cells."""
        return self.counts.numel()

    def dependency_matrix(self) -> Tensor:
        return super().dependency_matrix().triu(1 - self.order)

    # Cells

    def contexts(self, x_BL: Tensor) -> Tensor:
        """The n - 1 tokens before each token, (B, L, C)."""
        begin_BC = x_BL.new_tensor(self.begin).expand(len(x_BL), -1)
        return torch.cat([begin_BC, x_BL], 1).unfold(1, self.order, 1)[..., :-1]

    def reaches(self, context_NC: Tensor, k: int) -> Tensor:
        """Whether there are k - 1 tokens in each context, (N,)."""
        return context_NC[:, 1 - k] != ABSENT if k > 1 else context_NC.new_ones(len(context_NC), dtype=torch.bool)

    def key(self, context_NC: Tensor, k: int) -> Tensor:
        """What stands for the last k - 1 tokens of each context, (N,): a number to base V, or a hash where n-grams share cells."""
        key_N = context_NC.new_full((len(context_NC),), k if k > self.own else 0)
        for token_N in context_NC[:, self.order - k :].unbind(1):
            key_N = mixed(key_N ^ token_N) if k > self.own else key_N * self.tokens.vocabulary + token_N
        return key_N

    def cells(self, key_P: Tensor, token_P: Tensor, k: int) -> Tensor:
        """The cells where n-grams of k tokens are counted, given the `key` of their context and their last token, (P, K)."""
        if k <= self.own:
            return (self.begins[k] + key_P * self.tokens.vocabulary + token_P)[:, None]
        hash_P, shared = mixed(key_P ^ token_P), len(self.counts) - self.begins[-1]
        a_P, b_P = hash_P >> 32 & 0xFFFFFFFF, hash_P & 0xFFFFFFFF | 1  # two hashes make many (Kirsch & Mitzenmacher, 2006)
        hash_PK = a_P[:, None] + b_P[:, None] * torch.arange(HASHES, device=key_P.device) & 0x7FFFFFFF
        return self.begins[-1] + (hash_PK * shared >> 31)

    # p(w | h)

    def log_p_next(self, context_NC: Tensor) -> Tensor:
        """log p of every token that may come after each context, (N, W)."""
        N, W = len(context_NC), self.tokens.vocabulary - self.first
        p_NW = self.counts.new_full((N, W), 1 / W)
        c_NW = torch.full_like(p_NW, torch.inf)  # of the n-gram without its first token
        for k in range(1, self.order + 1):
            row_P, column_P = ((c_NW > 0) & self.reaches(context_NC, k)[:, None]).nonzero().unbind(1)
            found_P = self.counts[self.cells(self.key(context_NC, k)[row_P], column_P + self.first, k)].amin(1)
            c_NW = torch.zeros_like(p_NW).index_put((row_P, column_P), found_P.minimum(c_NW[row_P, column_P]))
            c_N1, T_N1 = c_NW.sum(1, keepdim=True), (c_NW > 0).sum(1, keepdim=True)
            p_NW = torch.where(c_N1 > 0, (c_NW + T_N1 * p_NW) / (c_N1 + T_N1), p_NW)
        return p_NW.log()

    def logits(self, x_BL: Tensor, memory: EncoderOutput, noise: Noise | None = None) -> Tensor:
        context_NC = self.contexts(x_BL).flatten(0, 1)
        logits_NV = self.counts.new_full((len(context_NC), self.tokens.vocabulary), -torch.inf)  # once: parts are put in their place
        at_once = max(1, AT_ONCE // self.tokens.vocabulary)
        for part_NV, part_NC in zip(logits_NV.split(at_once), context_NC.split(at_once), strict=True):
            part_NV[:, self.first :] = self.log_p_next(part_NC)
        return logits_NV.unflatten(0, x_BL.shape)

    def start(self, memory: EncoderOutput, n: int) -> DecoderCache:
        none_BC = torch.full((n, self.order - 1), ABSENT, device=self.counts.device)
        return {"context_BC": none_BC}

    def step(self, token_B: Tensor, state: DecoderCache, memory: EncoderOutput) -> tuple[Tensor, DecoderCache]:
        if not self.tokens.ends:
            token_B = token_B.masked_fill(token_B == self.tokens.pad, ABSENT)
        context_BC = torch.cat([state["context_BC"], token_B[:, None]], 1)[:, 1:]
        return self.scores(self.log_p_next(context_BC)), {"context_BC": context_BC}

    def scores(self, log_p_NW: Tensor) -> Tensor:
        """log probabilities of all tokens, (N, V): -inf of those that are never drawn."""
        return F.pad(log_p_NW, (self.tokens.vocabulary - log_p_NW.shape[1], 0), value=-torch.inf)

    # Counting

    def stages(self) -> Sequence[Stage]:
        return [Stage("count", [Player(self.title(), [self], no_loss, ClosedForm(self.statistics, self.solve))])]

    def statistics(self, batch: Batch) -> dict[str, Tensor]:
        """How often an n-gram of at most n tokens was counted in each cell, int32 (M,)."""
        x_N = batch["x"].flatten()
        there_N = x_N != self.tokens.pad
        context_NC, token_N = self.contexts(batch["x"]).flatten(0, 1)[there_N], x_N[there_N]
        counts_M = torch.zeros(len(self.counts), dtype=torch.int32, device=x_N.device)
        for k in range(1, self.order + 1):
            reaches_N = self.reaches(context_NC, k)
            context_NC, token_N = context_NC[reaches_N], token_N[reaches_N]
            cells_N = self.cells(self.key(context_NC, k), token_N, k).flatten()
            counts_M.index_add_(0, cells_N, torch.ones_like(cells_N, dtype=torch.int32))
        return {"counts": counts_M}

    @torch.no_grad()
    def solve(self, sums: dict[str, Tensor]) -> None:
        """The counts from those of `statistics` over the training data."""
        self.counts.copy_(sums["counts"])


def mixed(key_N: Tensor) -> Tensor:
    """Whole numbers made into others, int64, that differ in all bits where they differ in one."""
    key_N = (key_N ^ (key_N >> 32)) * MIX
    key_N = (key_N ^ (key_N >> 29)) * MIX
    return key_N ^ (key_N >> 32)

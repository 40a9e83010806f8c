"""Models of text so small that they can be worked out by hand."""

from typing import ClassVar

import torch
from torch import nn

from pofx.bases.token_model import TokenModel, shift_right
from pofx.bases.translator import Translator
from pofx.kinds import EOS, PAD, Image, Tokens, Vector
from pofx.options import Size
from pofx.plan import Adam, Player, Stage


class Bigram(TokenModel):
    """p(x_t | x_<t) = softmax(table[x_t-1]).

    Args:
        x: texts
    """

    small: ClassVar[dict] = {}
    paper = ("Shannon", 1948, "A Mathematical Theory of Communication")

    def __init__(self, x: Tokens):
        super().__init__(x)
        self.table = nn.Parameter(torch.zeros(x.vocabulary, x.vocabulary))

    def stages(self):
        return [Stage("train", [Player("bigram", [self], self.loss, Adam(0.3))])]

    def logits(self, x_BL, memory, noise=None):
        return self.table[shift_right(x_BL)]

    def start(self, memory, n):
        return {}

    def step(self, token_B, state, memory):
        return self.table[token_B], state

    def gates(self, x):
        h_BLV = self.table[shift_right(x)]
        return {"input": h_BLV.sigmoid(), "hidden": h_BLV.tanh()}


class Spelling(Translator):
    """p(x_t | x_t-1, source) = softmax(table[x_t-1] + W s), where s is what stands in place t of the source.

    Args:
        x: texts
        source: texts, or pictures
        places: of the source that are looked at
    """

    small: ClassVar[dict] = {}
    paper = ("Nobody", 2026, "made up")

    def __init__(self, x: Tokens, source: Tokens | Image, *, places: Size = 12):
        super().__init__(x, source)
        self.places = places
        self.table = nn.Parameter(torch.zeros(x.vocabulary, x.vocabulary))
        self.seen: nn.Module
        if isinstance(source, Tokens):
            self.seen = nn.Embedding(source.vocabulary, x.vocabulary)
        else:
            self.seen = nn.Linear(source.size, x.vocabulary * places)

    def stages(self):
        return [Stage("train", [Player("spelling", [self], self.loss, Adam(0.1))])]

    def read(self, source, noise=None):
        if isinstance(self.source, Tokens):
            seen_BSV = self.seen(source[:, : self.places])
            seen_BSV = nn.functional.pad(seen_BSV * (source[:, : self.places, None] != PAD), (0, 0, 0, self.places - seen_BSV.shape[1]))
        else:
            seen_BSV = self.seen(source.flatten(1)).unflatten(1, (self.places, -1))
        return {"seen": seen_BSV}

    def at(self, memory, t):
        return memory["seen"][:, min(t, self.places - 1)]

    def logits(self, x_BL, memory, noise=None):
        seen_BLV = torch.stack([self.at(memory, t) for t in range(x_BL.shape[1])], 1)
        return self.table[shift_right(x_BL)] + seen_BLV

    def start(self, memory, n):
        return {"t": torch.zeros(n, dtype=torch.int64)}

    def step(self, token_B, state, memory):
        places_B = state["t"].clamp(max=self.places - 1)
        seen_BV = memory["seen"].gather(1, places_B[:, None, None].expand(-1, 1, memory["seen"].shape[2]))[:, 0]
        return self.table[token_B] + seen_BV, {"t": state["t"] + 1}

    def attention(self, x, *, given=None):
        L, S = x.shape[1], given.shape[1] if given.dim() == 2 else 4
        return {"looks": torch.eye(max(L, S))[:L, :S].expand(len(x), 2, L, S)}


class Coded(Bigram):
    """A code of a text is how often each token is in it; decoding writes them from the most frequent to the rarest.

    Args:
        x: texts
    """

    def __init__(self, x: Tokens):
        super().__init__(x)
        self.codes = Vector(x.vocabulary)

    def encode(self, x):
        return nn.functional.one_hot(x, self.tokens.vocabulary).sum(1).float().index_fill(1, torch.tensor([PAD, EOS]), 0)

    def decode(self, z):
        rows = [[token for token in row.argsort(descending=True, stable=True).tolist() if row[token] > 0.5] for row in z]
        return nn.utils.rnn.pad_sequence([torch.tensor([*row, EOS]) for row in rows], batch_first=True)

"""Models of p(x | source) whose x are tokens: beam search finds the likeliest."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor

from pofx.bases.token_model import EncoderOutput, TokenModel, check_options
from pofx.errors import UserError
from pofx.kinds import Kind, Tokens
from pofx.layers.recurrent import Recurrent
from pofx.options import NonNegative, Size


class Translator(TokenModel):
    """A `TokenModel` that is given a source, and finds the likeliest x for it.

    Args:
        x: sequences of tokens with EOS
        source: what x is given
    """

    def __init__(self, x: Tokens, source: Kind):
        if not x.ends:
            raise UserError(f"{self.title()} finds x with an end, and running text has none: let each line be an example, without --window")
        super().__init__(x, source)

    @torch.no_grad()
    def translate(self, source: Tensor, *, beam: Size = 4, length_penalty: NonNegative = 0.6, length: Size | None = None) -> Tensor:
        """The likeliest x for each source, int64 (B, L), as beam search finds it.

        Args:
            source: (B, ...)
            beam: hypotheses that are kept at every token; 1 always takes the likeliest token
            length_penalty: log p is divided by ((5 + tokens) / 6) to this power: more favours longer x
            length: most tokens, EOS counted; by default as many as x may have
        """
        check_options(self.translate, beam=beam, length_penalty=length_penalty, length=length)
        self.asked(source, len(source))
        return self.search(self.read(source), len(source), beam=beam, length_penalty=length_penalty, length=length)


class RecurrentTranslator(Translator):
    """A `Translator` whose decoder is `recurrent`, so that its gates can be looked at.

    A subclass defines `cell_inputs`.
    """

    recurrent: Recurrent

    @abstractmethod
    def cell_inputs(self, x_BL: Tensor, memory: EncoderOutput) -> Tensor:
        """What the decoder's cells are given as they predict each token of x, (B, L, I)."""

    def gates(self, x: Tensor, *, given: Tensor, layer: int = -1) -> dict[str, Tensor]:
        """The gates of a layer of the decoder that predict each token of x (B, L), given sources (B, S), by name, (B, L, H) each.

        Args:
            x: tokens
            given: sources
            layer: which, from 0; -1: the last
        """
        memory = self.read(self.asked(given, len(x)))
        return self.recurrent.gates(self.cell_inputs(x, memory), self.start(memory, len(x)), layer)

"""Sequences of tokens, and the special ids of every vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pofx.errors import UserError
from pofx.kinds.kind import Kind, Refusal, require_positive
from pofx.kinds.shown import Shown, Texts

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

PAD, EOS = 0, 1  # of every vocabulary: what fills a batch after a sequence's end and stands before its first token; what ends a sequence


@dataclass(frozen=True, repr=False)
class Tokens(Kind):
    """Sequences of tokens: int64, shape (L,) with L at most `length`, EOS counted.

    Every vocabulary has two tokens of its own: PAD (0) fills a batch after the end of a sequence, and EOS (1) closes it. The
    others are from 2 to `vocabulary` - 1. A sequence without EOS is the beginning of one. Where `ends` is False there are no
    EOS at all: each example is a window of `length` tokens of a running text. `tokenizer` is the hash of what makes text into
    these tokens.

    Example:
        >>> Tokens(8000, 64, tokenizer="8d8120c391b84a1f03b280c9286f0bd0199c43e3971d4570ad7b4595bc57e6e8")  # the hash is long
        Tokens(vocabulary=8000, length=64, tokenizer=8d8120c3)
    """

    dtype: ClassVar[str] = "int64"
    likelihood: ClassVar[str] = "categorical"
    written: ClassVar[tuple[str, ...]] = (".txt", ".jsonl", ".npy", ".npz")
    text: ClassVar[bool] = True

    vocabulary: int
    length: int
    ends: bool = True
    tokenizer: str = ""

    def __post_init__(self) -> None:
        require_positive(self, vocabulary=self.vocabulary, length=self.length)
        if self.vocabulary < 3:
            raise UserError(f"Tokens: vocabulary must be 3 or more, for two tokens are PAD and EOS, not {self.vocabulary}")

    def __repr__(self) -> str:
        shown = [f"vocabulary={self.vocabulary}", f"length={self.length}", *(["ends=False"] if not self.ends else [])]
        return f"Tokens({', '.join([*shown, *([f'tokenizer={self.tokenizer[:8]}'] if self.tokenizer else [])])})"

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def levels(self) -> int:
        return self.vocabulary

    @property
    def usual(self) -> int:
        return 8 if self.ends else 1

    @classmethod
    def takes(cls, found: Kind) -> tuple[Refusal, ...]:
        why = super().takes(found)
        if why and found.picture:
            return (
                Refusal("name a text, or the text of pictures with", "target", ("caption",)),
                Refusal("digits with labels are spelled with", "spell", ("english",)),
            )
        return why and (Refusal("name a text file with", "data"), Refusal("running text is cut with", "window", (64,)))

    def accepts(self, found: Kind) -> tuple[Refusal, ...]:
        """Their vocabulary and tokenizer are to be the same, too, and they are no longer than these may be."""
        if why := type(self).takes(found):
            return why
        if found == self:
            return ()
        if found.shape != self.shape:
            return (Refusal("pass", "length" if self.ends else "window", (self.length,)),)
        return (Refusal("its text was made into other tokens"),)

    def collate(self, pieces: Sequence[Tensor]) -> Tensor:
        """Batches (n, L) of it as one, as wide as the widest, with PAD behind the others."""
        import torch
        from torch.nn.functional import pad

        width = max(piece.shape[1] for piece in pieces)
        return torch.cat([pad(piece, (0, width - piece.shape[1]), value=PAD) for piece in pieces])

    @property
    def ragged(self) -> bool:
        return self.ends

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        """Texts by the tokenizer that is their codec; without one, the tokens' numbers."""
        return Texts([" ".join(map(str, row)) if codec is None else codec.decode(row) for row in x.tolist()])

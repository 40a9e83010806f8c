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

# PAD fills a batch after a sequence's end and stands before its first token, and is 0 in every vocabulary. EOS ends a sequence: it is the
# last of the special tokens, so that all that may be drawn are one slice; what it is without MASK stands here
PAD, EOS = 0, 1


@dataclass(frozen=True, repr=False)
class Tokens(Kind):
    """Sequences of tokens: int64, shape (L,) with L at most `length`, EOS counted.

    Every vocabulary has two tokens of its own: PAD (0) fills a batch after the end of a sequence, and EOS (1) closes it. The
    others are from 2 to `vocabulary` - 1. A sequence without EOS is the beginning of one. Where `ends` is False there are no
    EOS at all: each example is a window of `length` tokens of a running text. `tokenizer` is the hash of what makes text into
    these tokens. Where it is `masked`, there is a third token, MASK, for what is not known: PAD is 0, MASK 1, EOS 2, and the others
    are from 3.

    Example:
        >>> Tokens(8000, 64, tokenizer="8d8120c391b84a1f03b280c9286f0bd0199c43e3971d4570ad7b4595bc57e6e8")  # the hash is long
        Tokens(vocabulary=8000, length=64, tokenizer=8d8120c3)
        >>> masked = Tokens(8000, 64, masked=True)
        >>> masked.pad, masked.mask, masked.eos, masked.first
        (0, 1, 2, 3)
    """

    dtype: ClassVar[str] = "int64"
    likelihood: ClassVar[str] = "categorical"
    endings: ClassVar[tuple[str, ...]] = (".txt", ".jsonl", ".npy", ".npz")
    text: ClassVar[bool] = True
    printed: ClassVar[bool] = True
    hints: ClassVar[tuple[Refusal, ...]] = (
        Refusal("name a text file with", "data"),
        Refusal("one example a line, or running text with", "window", (64,)),
    )

    vocabulary: int
    length: int
    ends: bool = True
    tokenizer: str = ""
    masked: bool = False

    def __post_init__(self) -> None:
        require_positive(self, vocabulary=self.vocabulary, length=self.length)
        if self.vocabulary < self.first + 1:
            own = "three tokens are PAD, MASK and EOS" if self.masked else "two tokens are PAD and EOS"
            raise UserError(f"Tokens: vocabulary must be {self.first + 1} or more, for {own}, not {self.vocabulary}")

    def __repr__(self) -> str:
        shown = [f"vocabulary={self.vocabulary}", f"length={self.length}", *(["ends=False"] if not self.ends else [])]
        shown += ["masked=True"] if self.masked else []
        return f"Tokens({', '.join([*shown, *([f'tokenizer={self.tokenizer[:8]}'] if self.tokenizer else [])])})"

    def to_json(self) -> dict[str, Any]:
        """As in `Kind.to_json`; `masked` is written where it is so, and what is stored without it is not."""
        record = super().to_json()
        return record if self.masked else {key: value for key, value in record.items() if key != "masked"}

    @property
    def pad(self) -> int:
        """What stands behind the end of a sequence, and before its first token."""
        return PAD

    @property
    def mask(self) -> int | None:
        """What stands for a token that is not known, where it is `masked`; it is never drawn."""
        return PAD + 1 if self.masked else None

    @property
    def eos(self) -> int:
        """What ends a sequence."""
        return EOS + self.masked

    @property
    def first(self) -> int:
        """The first token that is an ordinary one: all from it to `vocabulary` - 1 are."""
        return self.eos + 1

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.length,)

    @property
    def levels(self) -> int:
        return self.vocabulary

    @property
    def default_count(self) -> int:
        return 8 if self.ends else 1

    @classmethod
    def takes(cls, found: Kind) -> tuple[Refusal, ...]:
        why = super().takes(found)
        if why and found.picture:
            return (
                Refusal("name a text, or the text of pictures with", "target", ("caption",)),
                Refusal("digits with labels are spelled with", "spell", ("english",)),
            )
        return why and cls.hints

    def accepts(self, found: Kind) -> tuple[Refusal, ...]:
        """Their vocabulary and tokenizer are to be the same, too, and they are no longer than these may be."""
        if why := type(self).takes(found):
            return why
        if found == self:
            return ()
        if found.shape != self.shape:
            return (Refusal("pass", "length" if self.ends else "window", (self.length,)),)
        return (Refusal("its text was made into other tokens"),)

    def with_eos(self, numbers: list[int]) -> list[int]:
        return [*numbers, self.eos] if self.ends else numbers

    def number_names(self, numbers: Sequence[int], codec: Any = None) -> list[str]:
        """By the tokenizer that is their codec; PAD, MASK and EOS in signs of their own."""
        special = {self.pad: "", self.eos: "<end>"} | ({} if self.mask is None else {self.mask: "<mask>"})
        return [special[token] if token in special else str(token) if codec is None else codec.names[token] for token in numbers]

    def lengths(self, x: Tensor) -> Tensor:
        return (x != PAD).sum(1)

    def collate(self, pieces: Sequence[Tensor]) -> Tensor:
        """Batches (n, L) of it as one, as wide as the widest, with PAD behind the others."""
        import torch
        from torch.nn.functional import pad

        width = max(piece.shape[1] for piece in pieces)
        return torch.cat([pad(piece, (0, width - piece.shape[1]), value=PAD) for piece in pieces])

    @property
    def ragged(self) -> bool:
        return self.ends

    def check(self, x: Any, *, name: str = "x", model: str = "the model", strict: bool = True, n: int | None = None) -> None:
        """As in `Kind.check`; tokens are int64 (N, L). Where `strict`, x has at most `length`, EOS counted and PAD not."""
        if str(x.dtype).rpartition(".")[2] != self.dtype or x.ndim != 2:
            raise UserError(f"{name} must be tokens, int64 of shape (examples, tokens), not {x.dtype} of shape {tuple(x.shape)}")
        if n is not None and len(x) != n:
            raise UserError(f"{name} must be {n} examples, not {len(x)}")
        if strict and self.ends and len(x) and (longest := int((x != self.pad).sum(1).max())) > self.length:
            raise UserError(f"{model} was made for {name} of at most {self.length} tokens with their EOS, not {longest}: shorten it")
        if not ((x >= 0) & (x < self.vocabulary)).all():
            bad = x[(x < 0) | (x >= self.vocabulary)][0]
            raise UserError(f"{name} has token {bad}, outside the vocabulary of {self.vocabulary}: they are 0 to {self.vocabulary - 1}")
        if strict and self.masked and (x == self.mask).any():
            raise UserError(f"{name} has MASK ({self.mask}), which is no token that {model} knows the probability of: put a token there")
        if (((x[:, :-1] == self.pad) | (x[:, :-1] == self.eos)) & (x[:, 1:] != self.pad)).any():
            raise UserError(f"{name} has tokens after its end: only PAD (0) may stand behind EOS ({self.eos}), and neither before it")
        if not self.ends and (x == self.eos).any():
            raise UserError(f"{name} has an EOS, but {model} was made for running text, which has none")

    @classmethod
    def small(cls) -> tuple[Tokens, ...]:
        return (Tokens(5, 6),)

    @classmethod
    def tiny(cls) -> tuple[Tokens, ...]:
        return (Tokens(4, 3), Tokens(4, 3, ends=False))

    def random(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """Of all lengths; every eighth is a beginning without EOS."""
        import numpy as np

        tokens_NL = rng.integers(self.first, self.vocabulary, (n, self.length))
        if self.ends:
            end_N1 = np.where(np.arange(n) % 8 == 7, self.length, rng.integers(0, self.length, n))[:, None]
            tokens_NL = self._cut(tokens_NL, end_N1)
        return tokens_NL

    @property
    def count(self) -> int:
        """How many sequences there are; a beginning without EOS is one too."""
        ordinary = self.vocabulary - self.first
        return ordinary**self.length + (sum(ordinary**t for t in range(self.length)) if self.ends else 0)

    def every(self) -> np.ndarray:
        """Every sequence, int64 (count, length).

        Example:
            >>> Tokens(3, 2).every().tolist()
            [[1, 0], [2, 1], [2, 2]]
        """
        import numpy as np

        x_NL = np.indices((self.vocabulary,) * self.length).reshape(self.length, -1).T
        ordinary_NL = x_NL >= self.first
        sound_N = (x_NL == self._cut(x_NL, ordinary_NL.sum(1, keepdims=True))).all(1)
        return x_NL[sound_N & (self.ends | ordinary_NL.all(1))]

    def number(self, x: np.ndarray) -> np.ndarray:
        """Where each sequence (N, L), L at most `length`, stands in `every()`, int64 (N,)."""
        import numpy as np

        places = self.vocabulary ** np.arange(self.length - 1, -1, -1)
        return np.searchsorted((self.every() * places).sum(1), (x * places[: x.shape[1]]).sum(1))

    def other(self, x: np.ndarray) -> np.ndarray:
        return (x - self.first + 1) % (self.vocabulary - self.first) + self.first

    def filled(self, x: np.ndarray) -> np.ndarray:
        import numpy as np

        ordinary_NL = (x + np.arange(x.shape[1])) % (self.vocabulary - self.first) + self.first
        return np.where(x < self.first, ordinary_NL, x)

    def _cut(self, x_NL: np.ndarray, end_N1: np.ndarray) -> np.ndarray:
        """Sequences that end at these places: EOS there, and PAD behind it."""
        import numpy as np

        place_L = np.arange(x_NL.shape[1])
        return np.where(place_L < end_N1, x_NL, np.where(place_L == end_N1, self.eos, self.pad))

    def draw(self, x: np.ndarray, codec: Any = None) -> Shown:
        """Texts by the tokenizer that is their codec; without one, the tokens' numbers."""
        return Texts([" ".join(map(str, row)) if codec is None else codec.decode(row) for row in x.tolist()])

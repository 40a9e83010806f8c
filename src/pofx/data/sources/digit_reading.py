"""Digit reading, with labels spelled: a picture of a digit and its English word, or digits in a row and their number in Korean.

Batches are not of readings about as long: those would be readings of few classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from pofx.data.columns import Column
from pofx.data.contents import Contents
from pofx.data.sequences import Ragged, Sequences
from pofx.data.sources import hub
from pofx.data.tokenizer import Tokenizer
from pofx.errors import UserError
from pofx.kinds import Binary, Kind, Tokens
from pofx.randomness import generator

Language = Literal["english", "hangul"]

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIGITS = ("", "일", "이", "삼", "사", "오", "육", "칠", "팔", "구")
PLACES = ("천", "백", "십", "")
SETS = ("digits", "mnist", "svhn")  # well-known pictures of digits, whose labels are numbers and need no word about it
LOW, HIGH, PLACES_READ = 10, 9999, 4
BLANK = 10  # of a place's digits the eleventh: there is none


def english(digit: int) -> str:
    """The English word of a digit.

    Raises:
        UserError: the number is not from 0 to 9

    Example:
        >>> english(7)
        'seven'
    """
    if not 0 <= digit <= 9:
        raise UserError(f"a number to be read in English must be from 0 to 9, not {digit}")
    return WORDS[digit]


def hangul(number: int) -> str:
    """The Sino-Korean reading of a number: no 일 before 십, 백 and 천, and zeros are silent.

    Raises:
        UserError: the number is not from 10 to 9999

    Example:
        >>> [hangul(number) for number in (10, 347, 1111, 2005, 9999)]
        ['십', '삼백사십칠', '천백십일', '이천오', '구천구백구십구']
    """
    if not LOW <= number <= HIGH:
        raise UserError(f"a number to be read in Hangul must be from {LOW} to {HIGH}, not {number}")
    digits = map(int, f"{number:04}")
    return "".join(("" if digit == 1 and place else DIGITS[digit]) + place for digit, place in zip(digits, PLACES, strict=True) if digit)


class DigitReading:
    """Labelled pictures of digits, to be spelled.

    Fields: x, the reading by characters; source, the picture or pictures; context, what of the source decides the reading.

    | language | source | x | context |
    |---|---|---|---|
    | english | a picture | the word of its digit | `Binary(10)`, one of ten |
    | hangul | 2 to 4 pictures side by side, then blank | the reading of the number | `Binary(4, 11)`, each place's digit, or blank |

    Args:
        contents: with x and label
        language: to read in
        spec: for messages
        tokenizers: of x the one to use, instead of the alphabet of the readings

    Example:
        >>> from pofx.data import load
        >>> data = load("digits", spell="hangul")
        >>> data.fields["source"], data.fields["x"].vocabulary, data.fields["x"].length
        (Image(channels=1, height=8, width=32, levels=17), 14, 8)
        >>> row = data.splits["test"].read([0])
        >>> data.tokenizers["x"].decode(row["x"][0]), row["context"].argmax(-1).tolist()
        ('오십오', [[5, 5, 10, 10]])
    """

    def __init__(self, contents: Contents, language: Language, spec: str, tokenizers: Mapping[str, Tokenizer]):
        picture, label = contents.fields["x"], contents.fields.get("label")
        named = label is not None and label.names == tuple("0123456789")
        digits = named or (label is not None and label.classes == 10 and not label.names)
        grey = picture.levels and len(picture.shape) == 3 and picture.shape[0] == 1
        if not grey or not digits:
            have = ", ".join(f"{name}: {kind}" for name, kind in contents.fields.items())
            raise UserError(f"{spec} has {have}; only grey pictures of the digits 0 to 9, with labels, are spelled: remove --spell")
        name = Path(spec).name
        if name in hub.KNOWN and name not in SETS:
            raise UserError(f"{spec} has no pictures of digits, and only digits are spelled: remove --spell")
        if name not in SETS and not named:
            contents.problems.append("its labels have no names: 0 to 9 are taken for the digits that the pictures show")
        self.contents, self.language, self.spec = contents, language, spec
        readings = [hangul(number) for number in range(LOW, HIGH + 1)] if language == "hangul" else list(WORDS)
        self.tokenizer = tokenizers.get("x") or Tokenizer.train("characters", readings)
        x = Tokens(self.tokenizer.vocabulary, max(map(len, readings)) + 1, tokenizer=self.tokenizer.sha256, masked=self.tokenizer.masked)
        self.fields: dict[str, Kind] = {"x": x, "source": picture, "context": Binary(10)}
        if language == "hangul":
            self.fields |= {"source": picture.beside(PLACES_READ), "context": Binary(PLACES_READ, BLANK + 1)}

    def columns(self, part: str, rows: np.ndarray | None, split: str, seed: int) -> dict[str, Column]:
        """The columns of a split.

        Args:
            part: that it is of
            rows: of the part, all of them when None
            split: its name
            seed: in Hangul, as many rows as the split has pictures are drawn, a function of the seed and the split: 2, 3 or 4 digits
                with equal probability, each digit too (the first is no 0), and any of the split's own pictures of it
        """
        x, source, context = cast("tuple[Tokens, Kind, Kind]", tuple(self.fields.values()))
        pictures, labels = self.contents.parts[part]["x"], np.array(self.contents.parts[part]["label"])
        if self.language == "english":
            words = Ragged.of(*self.tokenizer.encode_all([WORDS[label] for label in labels.tolist()]), x.vocabulary)
            return {
                "x": Sequences(x, words, rows, by_length=False),
                "source": Column(source, pictures, rows),
                "context": Column(context, np.eye(10, dtype=np.uint8)[labels], rows),
            }
        single = Column(self.contents.fields["x"], pictures, rows)
        digits, picks = drawn(torch.from_numpy(labels if rows is None else labels[rows]), split, seed, self.spec)
        numbers = ["".join(str(digit) for digit in row if digit != BLANK) for row in digits.tolist()]
        readings = Ragged.of(*self.tokenizer.encode_all([hangul(int(number)) for number in numbers]), x.vocabulary)
        return {
            "x": Sequences(x, readings, by_length=False),
            "source": InARow(single, source, picks),
            "context": Column(context, np.eye(BLANK + 1, dtype=np.uint8)[digits.numpy()]),
        }


def drawn(labels: Tensor, split: str, seed: int, spec: str) -> tuple[Tensor, Tensor]:
    """The digits of as many numbers as there are `labels`, from the left, and which picture each is.

    Returns:
        digits and rows, int64 (n, 4); `BLANK` and -1 where a number has no more of them
    """
    n, source = len(labels), generator(("read", seed, split))
    counts = torch.bincount(labels, minlength=10)
    if (counts == 0).any():
        raise UserError(f"{spec}: its {split} split has no picture of the digit {int(counts.argmin())}: add some, or cut it otherwise")
    places = torch.randint(2, PLACES_READ + 1, (n, 1), generator=source)
    digits = torch.randint(10, (n, PLACES_READ), generator=source)
    digits[:, 0] = torch.randint(1, 10, (n,), generator=source)
    which = (torch.rand(n, PLACES_READ, generator=source, dtype=torch.float64) * counts[digits]).long()
    picks = labels.argsort(stable=True)[counts.cumsum(0)[digits] - counts[digits] + which]
    blank = torch.arange(PLACES_READ) >= places
    return digits.masked_fill(blank, BLANK), picks.masked_fill(blank, -1)


class InARow(Column):
    """A column whose every picture is several of another side by side, from the left.

    Args:
        single: grey pictures (1, H, W)
        kind: of the row of them, (1, H, places * W)
        picks: rows of `single`, int64 (n, places); -1 leaves a place blank
    """

    def __init__(self, single: Column, kind: Kind, picks: Tensor, **options: Any):
        super().__init__(kind, single.values[:0], **options)
        self.single, self.picks, self.length = single, picks, len(picks)

    def raw(self, rows: Tensor) -> Tensor:
        picked = self.picks[rows]
        pictures = self.single.raw(picked.clamp(min=0).flatten()).unflatten(0, picked.shape)  # (B, places, 1, H, W)
        pictures[picked < 0] = 0
        return pictures.permute(0, 2, 3, 1, 4).flatten(3)

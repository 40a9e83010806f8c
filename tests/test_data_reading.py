"""Digit reading: labels spelled: the readings, and what each row is made of."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch

from pofx.data import load, reload
from pofx.data.columns import Split
from pofx.data.sources.digit_reading import BLANK, DIGITS, PLACES, english, hangul
from pofx.errors import UserError
from pofx.kinds import Binary, Image


def number(reading: str) -> int:
    """What a Sino-Korean reading says: a digit counts the place that follows, and a place without a digit is one."""
    total, digit = 0, 0
    for character in reading:
        if character in DIGITS:
            digit = DIGITS.index(character)
        else:
            total, digit = total + max(1, digit) * 10 ** (3 - PLACES.index(character)), 0
    return total + digit


def test_every_number_has_a_reading_of_its_own():
    readings = [hangul(n) for n in range(10, 10_000)]
    assert [number(reading) for reading in readings] == list(range(10, 10_000))
    assert not any(f"일{place}" in reading for reading in readings for place in "십백천")
    assert [hangul(n) for n in (10, 11, 100, 101, 110, 1000, 1234)] == ["십", "십일", "백", "백일", "백십", "천", "천이백삼십사"]


@pytest.mark.parametrize("n", [-1, 0, 9, 10_000])
def test_numbers_outside_are_refused(n):
    with pytest.raises(UserError, match=f"from 10 to 9999, not {n}"):
        hangul(n)
    with pytest.raises(UserError, match=f"from 0 to 9, not {n + 10 if n >= 0 else n}"):
        english(n + 10 if n >= 0 else n)


def texts(data, split: Split) -> list[str]:
    return [data.tokenizers["x"].decode(row) for row in split.read(range(len(split)))["x"]]


def test_english():
    data, plain = load("digits", spell="english"), load("digits")
    assert data.fields["source"] == Image(1, 8, 8, 17)
    assert data.fields["context"] == Binary(10)
    assert data.fields["x"].length == 6, "seven and its EOS"
    for name, split in data.splits.items():
        rows, old = split.read(range(len(split))), plain.splits[name].read(range(len(split)))
        assert torch.equal(rows["source"], old["x"])
        assert texts(data, split) == [english(label) for label in old["label"].tolist()]
        assert torch.equal(rows["context"].argmax(1), old["label"])
        assert torch.equal(rows["context"].sum(1), torch.ones(len(split)))


def test_folders_of_the_digits_are_spelled(tmp_path):
    for digit in range(10):
        (tmp_path / str(digit)).mkdir()
        for k in range(5):
            PIL.Image.fromarray(np.full((4, 4), 20 * digit + k, np.uint8)).save(tmp_path / str(digit) / f"{k}.png")
    data = load(tmp_path, spell="english")
    rows = data.splits["train"].read(range(30))
    assert [data.tokenizers["x"].decode(x) for x in rows["x"]] == [english(int(v)) for v in rows["source"][:, 0, 0, 0] * 255 // 20]
    (tmp_path / "9").rename(tmp_path / "nine")
    with pytest.raises(UserError, match="only grey pictures of the digits 0 to 9"):
        load(tmp_path, spell="english")


def test_hangul_rows_are_pictures_of_their_own_split():
    data, plain = load("digits", spell="hangul"), load("digits")
    assert data.fields["source"] == Image(1, 8, 32, 17)
    assert data.fields["context"] == Binary(4, 11)
    for name, split in data.splits.items():
        own = plain.splits[name].read(range(len(split)))
        known = {picture.numpy().tobytes(): label for picture, label in zip(own["x"], own["label"].tolist(), strict=True)}
        rows = split.read(range(len(split)))
        for source, reading, context in zip(rows["source"], texts(data, split), rows["context"], strict=True):
            digits = [digit for digit in context.argmax(1).tolist() if digit != BLANK]
            assert hangul(int("".join(map(str, digits)))) == reading
            tiles = source.unflatten(2, (4, 8)).transpose(1, 2)[0]  # place, row, column
            for place in range(4):
                if place < len(digits):
                    assert known[tiles[place][None].contiguous().numpy().tobytes()] == digits[place], "a picture of this split and digit"
                else:
                    assert not tiles[place].any()
                    assert context[place].argmax() == BLANK


def test_hangul_numbers_are_drawn_evenly():
    split = load("digits", spell="hangul").splits["train"]
    digits = split.read(range(len(split)))["context"].argmax(2).numpy()
    n = len(digits)
    places = (digits != BLANK).sum(1)
    for k in (2, 3, 4):
        assert abs((places == k).sum() - n / 3) < 4 * np.sqrt(n * 2 / 9)
    assert (digits[:, 0] != 0).all()
    for counts, of in ((np.bincount(digits[:, 0], minlength=10)[1:], 9), (np.bincount(digits[:, 1], minlength=10)[:10], 10)):
        assert (((counts - n / of) ** 2) / (n / of)).sum() < 30, "chi-square of 9 degrees"


def test_reload_gives_the_same_rows():
    for language in ("english", "hangul"):
        data = load("digits", spell=language, split_seed=3)
        again = reload(data.record)
        assert again.record == data.record
        for name, values in data.splits["train"].batch(5, 20, seed=1).items():
            assert torch.equal(values, again.splits["train"].batch(5, 20, seed=1)[name])
        assert not torch.equal(
            data.splits["test"].read([0, 1, 2])["source"], load("digits", spell=language).splits["test"].read([0, 1, 2])["source"]
        )


def test_labels_without_names_are_taken_for_digits_and_that_is_said(tmp_path):
    source = load("digits")
    rows = source.splits["train"].read(range(200))
    np.savez(tmp_path / "mine.npz", x=(rows["x"] * 255).byte().numpy(), label=rows["label"].numpy())
    assert load(tmp_path / "mine.npz", spell="english").problems == [
        "its labels have no names: 0 to 9 are taken for the digits that the pictures show"
    ]
    assert load("digits", spell="english").problems == []
    (tmp_path / "fashion-mnist").mkdir()
    (tmp_path / "mine.npz").rename(tmp_path / "fashion-mnist" / "x.npz")
    with pytest.raises(UserError, match="fashion-mnist has no pictures of digits"):
        load(tmp_path / "fashion-mnist", spell="english")


def test_what_cannot_be_spelled(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((30, 8, 8), np.uint8) + 9)
    for spec, options, message in [
        ("ring", {}, "only grey pictures of the digits 0 to 9, with labels"),
        (tmp_path / "x.npy", {}, "only grey pictures of the digits 0 to 9, with labels"),
        ("digits", {"tokens": "bpe"}, "no use for --tokens"),
        ("digits", {"stacked": 3}, "remove --stacked"),
        ("digits", {"labelled": 10}, "remove --labelled"),
        ("digits", {"binarize": "dynamic"}, "remove --binarize"),
        ("digits", {"read": "korean"}, "spell must be one of english, hangul"),
        ("digits", {"test": 0.002}, "test split has no picture of the digit"),
    ]:
        with pytest.raises(UserError, match=message):
            load(spec, **{"read": "hangul", **options})

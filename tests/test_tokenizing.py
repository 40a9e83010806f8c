"""Tokenizers: what came in comes out, the same text gives the same tokenizer, streaming shows whole characters."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import unicodedata

import pytest

from pofx.data import load
from pofx.data import tokenizer as tokenizing
from pofx.data.tokenizer import Tokenizer
from pofx.errors import UserError
from pofx.kinds import EOS, PAD, Tokens

ODD = [
    "삼백사십칠, 낮말은 새가 듣고",
    "a family 👨‍👩‍👧 and ❤️, flags 🇰🇷🇩🇪",
    "e\u0301 is é, and o\u0302\u0323 is ộ",
    "\ttabs\tand  two spaces, trailing  ",
    "<end> <pad> <unknown> are words here",
    "\u2028 is no line's end; nor is \x0b, and \r stays",
    "",
    " ",
]


def made_up(seed: int) -> str:
    """A text of pieces of the odd ones, and of characters at random from all of Unicode."""
    draw = random.Random(seed)
    ranges = [(32, 127), (0xA0, 0xD800), (0xE000, 0x110000)]
    characters = (chr(draw.randrange(*draw.choice(ranges))) for _ in range(20))
    text = "".join(draw.choice(ODD)[: draw.randrange(9)] + character for character in characters)
    return unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("kind", ["characters", "bpe"])
def test_what_came_in_comes_out(kind):
    texts = [*ODD, *map(made_up, range(50))]
    tokenizer = Tokenizer.train(kind, texts, 400)
    for text in texts:
        tokens = tokenizer.encode(text)
        assert not {PAD, EOS} & set(tokens), "no text is made into EOS"
        assert max(tokens, default=2) < tokenizer.vocabulary
        whole = unicodedata.normalize("NFC", text)
        assert tokenizer.decode(tokens) == whole
        assert "".join(tokenizer.pieces(tokens)) == whole
        assert tokenizer.decode([*tokens, EOS, 5, PAD]) == whole
    flat, offsets = tokenizer.encode_all(texts)
    for i, text in enumerate(texts):
        assert flat[offsets[i] : offsets[i + 1]].tolist() == tokenizer.encode(text)


def test_byte_pairs_take_any_text():
    tokenizer = Tokenizer.train("bpe", ["only plain English was here"], 300)
    for text in map(made_up, range(50, 80)):
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_canonical_forms_are_one():
    tokenizer = Tokenizer.train("characters", ["한글"])
    assert tokenizer.vocabulary == 4
    assert tokenizer.encode(unicodedata.normalize("NFD", "한글")) == tokenizer.encode("한글") == [3, 2]


def test_streaming_shows_whole_characters():
    tokenizer = Tokenizer.train("bpe", ["abc"], 300)  # each byte of 한 is a token
    tokens = tokenizer.encode("한a")
    assert list(tokenizer.pieces(iter(tokens))) == ["", "", "한", "a"]
    assert tokenizer.decode(tokens[:2]) == "\ufffd", "half a character is shown as such"


def test_words_are_put_together_as_they_are_written():
    texts = ["A man (in a T-shirt) doesn't say \"no, thanks!\" to 3 dogs; he's 'happy'.", "Zwei Männer: einer lacht, der andere nicht."]
    tokenizer = Tokenizer.train("words", texts, 100)
    for text in texts:
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert "T-shirt" in tokenizer.names
    assert "doesn't" in tokenizer.names
    assert tokenizer.decode(tokenizer.encode("A cat (in a hat) doesn't.")) == "A <unknown> (in a <unknown>) doesn't."


def test_rare_words_are_unknown():
    tokenizer = Tokenizer.train("words", ["a a a b b c"], 5)
    assert tokenizer.names == ("<pad>", "<eos>", "<unknown>", "a", "b")
    assert tokenizer.encode("c b a") == [2, 4, 3]


def test_the_same_text_gives_the_same_tokenizer_in_any_process():
    program = """
from pofx.data.tokenizer import Tokenizer
texts = [" ".join(f"w{(i * j) % 97} ties{j % 7}" for j in range(40)) for i in range(60)]
print(*(Tokenizer.train(kind, texts, 320).sha256 for kind in ("characters", "words", "bpe")))
"""
    found = set()
    for seed, threads in (("0", "1"), ("1", "4")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "RAYON_NUM_THREADS": threads}
        found.add(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout)
    assert len(found) == 1


@pytest.mark.parametrize("kind", ["characters", "words", "bpe"])
def test_json_gives_it_back(kind):
    tokenizer = Tokenizer.train(kind, ODD, 300)
    back = Tokenizer.from_json(tokenizer.to_json())
    assert (back.sha256, back.vocabulary, back.names) == (tokenizer.sha256, tokenizer.vocabulary, tokenizer.names)
    assert back.encode(ODD[0]) == tokenizer.encode(ODD[0])
    with pytest.raises(UserError, match="no tokenizer that pofx wrote"):
        Tokenizer.from_json(tokenizer.to_json()[:-20])


def test_a_long_text_is_tokenised_as_it_would_be_whole(monkeypatch):
    text = "".join(f"line {i}, {made_up(i)}\n{' ' * (i % 3)}{chr(10) * (i % 2)}" for i in range(60))
    tokenizer = Tokenizer.train("bpe", [text], 500)
    whole = tokenizer.encode(text)
    monkeypatch.setattr(tokenizing, "CHUNK", 100)
    assert len(tokenizing._chunks(text)) >= 5
    assert tokenizer.encode(text) == whole


def test_what_the_user_must_mend():
    tokenizer = Tokenizer.train("characters", ["abc"])
    with pytest.raises(UserError, match=r"'é' \(U\+00E9 LATIN SMALL LETTER E WITH ACUTE\) is not among the 3"):
        tokenizer.encode("abé")
    for kind, vocabulary in (("characters", None), ("words", 9), ("bpe", 270)):
        taught = Tokenizer.train(kind, ["abc"], vocabulary)
        with pytest.raises(UserError, match=r"character 4 is the byte 0xe9, which is not text in UTF-8"):
            taught.encode("abc\udce9")
        with pytest.raises(UserError, match=r"character 1 is half a character \(U\+D800\)"):
            taught.encode_all(["abc", "\ud800 abc"])
    with pytest.raises(UserError, match="--vocabulary must be 259 or more for bpe"):
        Tokenizer.train("bpe", ["abc"], 258)
    with pytest.raises(UserError, match="--vocabulary must be 4 or more for words"):
        Tokenizer.train("words", ["abc"], 3)
    with pytest.raises(UserError, match="no text"):
        Tokenizer.train("characters", [""])


@pytest.mark.parametrize(("kind", "vocabulary"), [("characters", None), ("words", 12), ("bpe", 270)])
def test_with_mask_all_ordinary_tokens_move_up_by_one(kind, vocabulary):
    texts = ["a small dog", "a big dog, and a small cat"]
    plain = Tokenizer.train(kind, texts, vocabulary)
    masked = Tokenizer.train(kind, texts, vocabulary and vocabulary + 1, masked=True)
    assert masked.vocabulary == plain.vocabulary + 1
    assert masked.names == ("<pad>", "<mask>", "<eos>", *plain.names[2:])
    tokens = masked.encode(texts[1])
    assert tokens == [token + 1 for token in plain.encode(texts[1])]
    assert min(tokens) >= 3
    assert masked.decode([1, *tokens, 2, 5, 0]) == plain.decode(plain.encode(texts[1]))
    assert "".join(masked.pieces([1, *tokens, 2, 0])) == masked.decode(tokens)
    again = Tokenizer.from_json(masked.to_json())
    assert (again.masked, again.sha256, again.encode("a dog")) == (True, masked.sha256, masked.encode("a dog"))
    assert masked.sha256 != plain.sha256
    assert "masked" not in plain.to_json()
    assert not Tokenizer.from_json(plain.to_json()).masked


def test_the_record_of_a_tokenizer_without_mask_is_what_it_was():
    assert Tokenizer.train("characters", ["ba"]).to_json() == '{"kind": "characters", "learned": "ab"}'


def test_text_read_with_a_tokenizer_with_mask_has_its_eos(tmp_path):
    (tmp_path / "lines.txt").write_text("ab\nba\nabab\n" * 10)
    tokenizer = Tokenizer.train("characters", ["ab"], masked=True)
    data = load(tmp_path / "lines.txt", tokens="characters", tokenizers={"x": tokenizer})
    assert data.fields["x"] == Tokens(5, 10, tokenizer=tokenizer.sha256, masked=True)
    x = data.splits["train"].read(range(10))["x"]
    data.fields["x"].check(x)
    assert ((x == 2).sum(1) == 1).all()

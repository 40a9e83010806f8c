"""Text: lines and running text as tokens, splits that follow each other, new text for a trained run, and what must be fixed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pofx.commands.hints import bound
from pofx.data import describe, load, reload
from pofx.data.tokenizer import Tokenizer
from pofx.errors import UserError
from pofx.kinds import EOS, PAD, Tokens
from pofx.model import bind
from pofx.models.autoencoders.vae import VAE
from pofx.models.language.ngram import NGram
from pofx.session import Rows, prepared
from pofx.train import Training, train

NAMES = [f"{a}{b}" for a in ("ha", "mi", "seo", "ji", "eun") for b in ("na", "young", "jun", "ah", "woo", "ri")]


def lines(path, texts=NAMES, end="\n"):
    path.write_bytes((end.join(texts) + end).encode())
    return path


def texts(data, split="train") -> list[str]:
    return [data.tokenizers["x"].decode(row) for row in data.splits[split].read(range(len(data.splits[split])))["x"]]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_is_an_example(tmp_path, end):
    data = load(lines(tmp_path / "names.txt", end=end))
    kind = data.fields["x"]
    assert kind == Tokens(len(set("".join(NAMES))) + 2, 2 * 9, tokenizer=data.tokenizers["x"].sha256)  # seoyoung and its EOS
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 24, "valid": 3, "test": 3}
    assert sorted(text for split in data.splits for text in texts(data, split)) == sorted(NAMES)
    batch = data.splits["train"].batch(0, 8, seed=0)["x"]
    assert batch.dtype == torch.int64
    assert ((batch == EOS).sum(1) == 1).all()
    assert (batch[batch.eq(EOS).cumsum(1).bool() & (batch != EOS)] == PAD).all()


def test_blank_lines_are_left_out_and_other_ends_stay(tmp_path):
    path = lines(tmp_path / "x.txt", ["one", "", "two\u2028three", "  ", "four\x0bfive", "six "])
    data = load(path, uncut=True)
    assert texts(data, "all") == ["one", "two\u2028three", "four\x0bfive", "six "]
    assert data.problems == ["x.txt: 2 lines left out, blank (line 2, 4)"]


def test_tokenizers_learn_from_the_training_split_alone(tmp_path):
    (tmp_path / "text").mkdir()
    lines(tmp_path / "text" / "train.txt", ["a b a b"] * 9)
    lines(tmp_path / "text" / "val.txt", ["a c"] * 9)
    words = load(tmp_path / "text", tokens="words")
    assert words.tokenizers["x"].names == ("<pad>", "<eos>", "<unknown>", "a", "b")
    assert texts(words, "valid")[0] == "a <unknown>"
    assert load(tmp_path / "text").tokenizers["x"].vocabulary == 2 + len("abc "), "but an alphabet is of all that is there"


def test_running_text_is_cut_at_characters_and_windows_stay_in_their_split(tmp_path):
    text = "".join(chr(ord("a") + i % 26) for i in range(1003))
    path = tmp_path / "x.txt"
    path.write_text(text)
    data = load(path, window=8, valid=0.1, test=0.0)
    n = int(0.9 * len(text))
    assert data.fields["x"] == Tokens(28, 8, ends=False, tokenizer=data.tokenizers["x"].sha256)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": n - 7, "valid": (1003 - n) // 8}
    assert texts(data) == [text[i : i + 8] for i in range(n - 7)]
    assert texts(data, "valid") == [text[i : i + 8] for i in range(n, 1003 - 7, 8)], "windows that are not trained on do not overlap"
    assert texts(load(path, window=8, stride=5)) == [text[i : i + 8] for i in range(0, int(0.8 * 1003) - 7, 5)]
    assert data.splits["train"].columns["x"].stored is None, "windows are views of the text"
    again = reload(data.record)
    assert torch.equal(again.splits["train"].batch(3, 9, seed=0)["x"], data.splits["train"].batch(3, 9, seed=0)["x"])


def test_tinyshakespeare_is_cut_as_it_is_customary(pofx_data):
    path = pofx_data / "text" / "tinyshakespeare.txt"
    data = load(path, window=64, valid=0.1, test=0.0)
    text = path.read_text()
    assert (len(data.splits["train"]) + 63, len(data.splits["valid"])) == (1_003_854, 111_540 // 64)
    assert texts_at(data, "train", 1_003_854 - 64) == text[1_003_854 - 64 : 1_003_854]
    assert texts_at(data, "valid", 0) == text[1_003_854 : 1_003_854 + 64]
    assert data.fields["x"].vocabulary == 65 + 2


def texts_at(data, split: str, row: int) -> str:
    return data.tokenizers["x"].decode(data.splits[split].read([row])["x"][0])


def test_a_run_s_tokenizers_are_used_for_new_text(tmp_path):
    first = load(lines(tmp_path / "a.txt"), tokens="words")
    second = lines(tmp_path / "b.txt", ["hana mina", "jiwoo hana", "unheard hana", *["hana"] * 20])
    data = load(second, tokenizers=first.tokenizers, length=first.fields["x"].length)
    assert data.fields == first.fields
    assert data.record["tokens"] == "words"
    assert any("<unknown>" in text for split in data.splits for text in texts(data, split))
    assert reload(data.record, first.tokenizers).record == data.record
    with pytest.raises(UserError, match="its tokenizers are not those of the record"):
        reload(data.record)


def test_records_are_reloaded_exactly_and_are_json(tmp_path):
    data = load(lines(tmp_path / "x.txt"), tokens="bpe", vocabulary=280)
    again = reload(json.loads(json.dumps(data.record)))
    assert again.record == data.record
    assert again.record["length"] == data.fields["x"].length
    for name, split in data.splits.items():
        assert torch.equal(split.read([0, 2])["x"], again.splits[name].read([0, 2])["x"])


def test_long_text_stays_on_disk(tmp_path, monkeypatch):
    path = lines(tmp_path / "x.txt")
    short = load(path).splits["train"]
    monkeypatch.setattr("pofx.data.sequences.IN_MEMORY", 0)
    long = load(path).splits["train"]
    assert isinstance(long.columns["x"].flat, np.memmap)
    assert long.columns["x"].flat.dtype == np.uint16
    assert torch.equal(long.batch(1, 9, seed=0)["x"], short.batch(1, 9, seed=0)["x"])


def test_an_account_of_text(tmp_path):
    account = describe(load(lines(tmp_path / "x.txt"), uncut=True))["splits"]["all"]
    letters = sum(map(len, NAMES))
    assert account["fields"]["x"] == {"tokens": letters, "characters": letters, "vocabulary": len(set("".join(NAMES))) + 2, "longest": 9}
    assert account["padding"] == pytest.approx(1 - (letters + 30) / (30 * 9))
    running = describe(load(tmp_path / "x.txt", window=4))["splits"]["train"]["fields"]["x"]
    assert running["tokens"] == running["characters"] == int(0.8 * (letters + 30))


def content(value: bytes):
    return lambda path: path.write_bytes(value)


BAD = [  # file, how it is made, options, what the error says
    ("x.txt", content(b""), {}, "x.txt is empty"),
    ("x.txt", content(b"\n \n"), {}, "x.txt is empty"),
    ("x.txt", content(b" \n"), {"window": 1}, "x.txt is empty"),
    ("x.txt", content(b"hello"), {"window": 8}, r"5 characters|fewer than a window of 8"),
    ("x.txt", content(b"hello world " * 8), {"window": 11}, "its valid split has 10 tokens, fewer than a window of 11"),
    ("x.txt", content("one\nzw\u00f6lf\n".encode("latin-1")), {}, r"not text in UTF-8: byte 6 \(line 2\) is 0xf6"),
    ("x.de", content("one\nzw\u00f6lf\n".encode("latin-1")), {}, r"not text in UTF-8: byte 6 \(line 2\) is 0xf6"),
    ("x.txt", content(b"a\n" * 9 + b"abcdef\n"), {"length": 5}, "line 10 has 7 tokens with its EOS, more than --length 5: shorten it"),
    ("x.txt", content(b"abc\n" * 20), {"length": 5, "window": 4}, "remove --length"),
    ("x.txt", content(b"abc\n" * 20), {"vocabulary": 99}, "pass --tokens words or --tokens bpe"),
    ("x.txt", content(b"abc\n" * 20), {"tokens": "bpe", "vocabulary": 99}, "--vocabulary must be 259 or more"),
    ("x.txt", content(b"abc\n" * 20), {"tokens": "word"}, "did you mean words"),
    ("x.txt", content(b"abc\n" * 20), {"shared": True}, "--shared is for two sides"),
    ("x.txt", content(b"abc\n" * 20), {"size": 8}, "no use for --size"),
    ("x.txt", content(b"abc\n" * 20), {"valid": 0.0}, "--valid must be above 0"),
    ("x.txt", content(b"abc\n" * 20), {"window": 4, "valid": 0.0}, "--valid must be above 0"),
    ("x.txt", content(b"abc\n" * 20), {"binarize": "dynamic"}, "remove --binarize"),
    ("x.bin", content(b"\x00\x01"), {}, "of no form that pofx knows"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "options", "message"), BAD, ids=[message[:24] for *_, message in BAD])
def test_what_the_user_must_mend(tmp_path, name, make, options, message):
    make(tmp_path / name)
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path / name, **options)
    assert "\n" not in str(error.value)


def test_a_character_outside_the_vocabulary_is_named_with_its_line(tmp_path):
    known = {"x": Tokenizer.train("characters", ["abc\n"])}
    path = lines(tmp_path / "x.txt", [*["abc"] * 7, "", "abd", *["a"] * 30])
    for options in ({}, {"window": 2}):
        with pytest.raises(UserError, match=r"x\.txt: line 9: the character 'd' \(U\+0064 LATIN SMALL LETTER D\)"):
            load(path, tokenizers=known, **options)


def test_models_that_take_no_text_say_so(tmp_path):
    with pytest.raises(UserError, match=r"vae needs x: .*that is text: `pofx models` shows which models take Tokens"):
        bound(VAE, load(lines(tmp_path / "x.txt")).fields)


def test_a_run_keeps_what_made_its_text_into_tokens(tmp_path):
    data = load(lines(tmp_path / "names.txt"))
    model = NGram(**bind(NGram, data.fields))
    run = train(model, data, Training(), tmp_path / "run")
    assert run.tokenizer("x").sha256 == data.tokenizers["x"].sha256
    assert run.tokenizers().keys() == {"x"}
    new = lines(tmp_path / "new.txt", ["mina", "ji", *["haseoyoung"] * 20])
    found = prepared(run, model, str(new), {})
    assert found.fields["x"] == data.fields["x"], "of the run's alphabet and length, whatever the new text has"
    rows = Rows(found, "all")
    assert [found.tokenizers["x"].decode(row) for row in rows.read(range(3))["x"]] == ["mina", "ji", "haseoyoung"]
    with pytest.raises(UserError, match=r"odd\.txt: line 2: the character 'x'"):
        prepared(run, model, str(lines(tmp_path / "odd.txt", ["mina", "max", *["ji"] * 20])), {})
    with pytest.raises(UserError, match="line 1 has 19 tokens with its EOS, more than --length 18"):
        prepared(run, model, str(lines(tmp_path / "long.txt", ["ha" * 9, *["ji"] * 20])), {})
    with pytest.raises(UserError, match="has no text called 'source': it was made for x: Tokens"):
        run.tokenizer("source")
    file = run.path / "tokenizers" / "x.json"
    file.write_text(Tokenizer.train("characters", ["abc"]).to_json())
    with pytest.raises(UserError, match=r"x\.json: it is not the tokenizer that the model was made for"):
        run.tokenizer("x")
    file.unlink()
    with pytest.raises(UserError, match=r"x\.json is not there"):
        run.tokenizer("x")

"""The command line on text, from a file of lines to translations, in one process, with models that learn in seconds."""

import io
import json
import math
import random
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

import pofx
from pofx.cli import main
from pofx.commands.texts import arriving
from pofx.render.heatmap import escaped, fonts, heat
from pofx.run import Run

OWN = f"{Path(__file__).parent}/texts.py"
ENGLISH = ["the", "a", "cat", "dog", "sat", "ran", "on", "mat"]
FRENCH = ["le", "un", "chat", "chien", "assis", "couru", "sur", "tapis"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of text, and a trained run of each kind of model."""
    there = tmp_path_factory.mktemp("texts")
    source = random.Random(0)
    rows = [source.choices(range(8), k=source.randint(2, 5)) for _ in range(200)]
    for name, words in (("lines.txt", ENGLISH), ("train.en", ENGLISH), ("train.fr", FRENCH)):
        (there / name).write_text("".join(" ".join(words[k] for k in row) + "\n" for row in rows))
    for word in ("one", "two"):
        (there / "pictures" / word).mkdir(parents=True)
        for k in range(8):
            pixels = np.full((8, 8), 250 if word == "two" else 5, np.uint8)
            pixels[k] += 3
            Image.fromarray(pixels).save(there / "pictures" / word / f"{word}{k}.png")
    jsonl = "".join(
        json.dumps({"file": f"pictures/{word}/{word}{k}.png", "caption": word}) + "\n" for k in range(8) for word in ("one", "two")
    )
    (there / "captions.jsonl").write_text(jsonl)
    trained = {
        "lines": ["Bigram", "--data", there / "lines.txt", "--steps", "100"],
        "running": ["Bigram", "--data", there / "lines.txt", "--window", "12", "--steps", "100"],
        "pairs": ["Spelling", "--data", there / "train.fr", "--target", there / "train.en", "--tokens", "words", "--steps", "200"],
        "spelled": ["Spelling", "--data", there / "train.fr", "--target", there / "train.en", "--steps", "3"],
        "bytes": ["Bigram", "--data", there / "lines.txt", "--tokens", "bpe", "--vocabulary", "270", "--steps", "3"],
        "reader": ["Spelling", "--data", there / "captions.jsonl", "--target", "caption", "--steps", "250"],
        "coded": ["Coded", "--data", there / "lines.txt", "--tokens", "words", "--steps", "3"],
    }
    for name, (model, *flags) in trained.items():
        assert main(["train", f"{OWN}:{model}", *map(str, flags), "--batch-size", "20", "--out", str(there / name)]) == 0
    return there


@pytest.fixture
def ask(folder, capsys, monkeypatch):
    """Runs a command line on a run of the folder: what it prints, and its one line of error."""

    def asking(verb, run, *flags, stdin="", status=0):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode() if isinstance(stdin, str) else stdin)))
        capsys.readouterr()
        assert main([verb, str(folder / run), "--trust", *map(str, flags)]) == status
        out, err = capsys.readouterr()
        if status:
            assert not out
            assert len(err.splitlines()) == 1, err
            return err.strip()
        return out

    return asking


# Training


def test_a_card_shows_texts_and_what_to_do_next(folder, capsys):
    for run, file in (("lines", "samples.txt"), ("running", "samples.txt"), ("pairs", "translations.txt"), ("reader", "translations.txt")):
        text = (folder / run / "samples" / file).read_text()
        assert text.rstrip("\n") in (folder / run / "README.md").read_text()
        assert (folder / run / "samples" / "loss.png").is_file()
    assert "source       " in text
    words = (folder / "pairs" / "samples" / "translations.txt").read_text().splitlines()
    assert words[1].removeprefix("translation  ") == words[2].removeprefix("reference    ")
    assert main(["train", f"{OWN}:Spelling", "--data", str(folder / "captions.jsonl"), "--target", "caption", "--steps", "2",
                 "--out", str(folder / "again"), "--json"]) == 0  # fmt: skip
    report = json.loads(capsys.readouterr().out)
    assert report["learned"] == "p(x | source)"
    assert [line.split()[1] for line in report["next"]] == ["translate", "score", "evaluate", "inspect"]


# Samples


def test_texts_are_printed_one_a_line(ask, folder):
    printed = ask("sample", "lines", "--n", 5)
    assert len(printed.splitlines()) == 5
    assert ask("sample", "lines", "--n", 5) == printed
    assert ask("sample", "lines", "--n", 5, "--seed", 1) != printed
    report = json.loads(ask("sample", "lines", "--n", 5, "--json"))
    assert report["texts"] == printed.splitlines()
    assert all(text.startswith("the ") for text in ask("sample", "lines", "--prompt", "the ", "--n", 3).splitlines())


@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".npy"])
def test_texts_are_written(suffix, ask, folder, tmp_path):
    file = tmp_path / f"texts{suffix}"
    assert "samples: 4" in ask("sample", "lines", "--n", 4, "--out", file)
    expected = ask("sample", "lines", "--n", 4).splitlines()
    if suffix == ".txt":
        found = file.read_text().splitlines()
    elif suffix == ".jsonl":
        found = [json.loads(line)["text"] for line in file.read_text().splitlines()]
    else:
        tokenizer = Run(folder / "lines").tokenizer("x")
        found = [tokenizer.decode(row) for row in np.load(file).tolist()]
    assert found == expected


class Terminal(io.StringIO):
    """Standard output of a terminal, that remembers when it was written to."""

    def __init__(self):
        super().__init__()
        self.parts: list[str] = []

    def isatty(self):
        return True

    def write(self, text):
        self.parts.append(text)
        return super().write(text)


@pytest.mark.parametrize("run", ["lines", "running"])
def test_on_a_terminal_a_text_is_printed_as_it_is_drawn(run, ask, folder, monkeypatch, capsys):
    expected = ask("sample", run, "--n", 2, "--prompt", "the", "--length", 30)
    terminal = Terminal()
    monkeypatch.setattr("sys.stdout", terminal)
    assert main(["sample", str(folder / run), "--trust", "--n", "2", "--prompt", "the", "--length", "30"]) == 0
    assert terminal.getvalue() == expected
    first = expected.splitlines()[0]
    assert terminal.parts[: len(first)] == list(first), "one character at a time"
    terminal.seek(0)
    terminal.truncate()
    assert main(["sample", str(folder / run), "--trust", "--json"]) == 0
    json.loads(terminal.getvalue())
    for flags, most in ((["--length", "2"], 2), ([], "")):  # nothing is printed of what cannot be drawn
        terminal.seek(0)
        terminal.truncate()
        prompt = "the" if flags else "the cat sat on " * 5
        assert main(["sample", str(folder / "lines"), "--trust", "--prompt", prompt, *flags]) == 2
        assert not terminal.getvalue()
        assert f"x is to have {most}" in capsys.readouterr().err


# Scores


def test_lines_are_scored_and_the_most_unusual_is_shown(ask, folder, tmp_path):
    file = tmp_path / "new.txt"
    file.write_text("the cat sat\ntttt\non a mat\n" * 4)
    report = json.loads(ask("score", "lines", "--data", file, "--split", "all", "--top", 1, "--json"))
    assert report["density"] == "exact"
    assert report["most_unusual"][0]["text"] == "tttt"
    run = Run(folder / "lines")
    model, tokenizer = pofx.load(folder / "lines", trust=True), run.tokenizer("x")
    [row] = [row for row in report["rows"] if row["row"] == 0]
    log_p = model.log_prob(torch.tensor([[*tokenizer.encode("the cat sat"), 1]])).item()
    assert row["log_p"] == pytest.approx(log_p, rel=1e-5)
    assert row["nats_per_character"] == pytest.approx(-log_p / 11, rel=1e-5)
    assert "tttt" in ask("score", "lines", "--data", file, "--out", tmp_path / "scores.csv")
    assert "tttt" in (tmp_path / "scores.csv").read_text()


def test_lines_of_a_running_text_are_scored_after_each_other(ask, folder, tmp_path):
    file = tmp_path / "new.txt"
    file.write_text("the cat\n\non a mat\n")
    report = json.loads(ask("score", "running", "--data", file, "--json"))
    assert [(row["line"], row["text"]) for row in report["rows"]] == [(1, "the cat"), (3, "on a mat")]
    model, tokenizer = pofx.load(folder / "running", trust=True), Run(folder / "running").tokenizer("x")
    tokens = torch.tensor([tokenizer.encode("the cat\n\non a mat")])
    each = model.conditionals(tokens)[0]  # of pairs of characters, so windows make no difference
    assert report["rows"][0]["log_p"] == pytest.approx(each[:8].sum().item(), rel=1e-5)
    assert report["rows"][1]["log_p"] == pytest.approx(each[9:].sum().item(), rel=1e-5)
    assert report["rows"][0]["nats_per_character"] == pytest.approx(-each[:8].mean().item(), rel=1e-5), "with its line's end"
    assert report["rows"][1]["nats_per_character"] == pytest.approx(-each[9:].mean().item(), rel=1e-5), "which the last line has not"
    assert report["bits_per_character"] == pytest.approx(report["nats_per_token"] / math.log(2))
    assert "windows of 12 tokens" in report["context"]
    assert json.loads(ask("score", "running", "--json"))["items"] > 100


def test_lines_are_numbered_within_their_file(ask, folder):
    lines = (folder / "lines.txt").read_text().splitlines()
    report = json.loads(ask("score", "running", "--json", "--top", 300))
    whole = [row for row in report["rows"] if row["whole"]]
    assert all(lines[row["line"] - 1] == row["text"] for row in whole)
    torn = [row for row in report["rows"] if not row["whole"]]
    assert all(row["text"] in lines[row["line"] - 1] and row["rank"] is None for row in torn)
    assert [row["split"] for row in torn][:3] == ["train", "valid", "valid"], "and of test, where more than a line's end is left"
    assert sorted(row["rank"] for row in whole) == list(range(1, len(whole) + 1))
    assert all(row["whole"] for row in report["most_unusual"])
    assert json.loads(ask("score", "running", "--split", "test", "--json"))["rows"][-1]["line"] == 200


def test_pairs_are_scored_given_their_source(ask):
    report = json.loads(ask("score", "pairs", "--split", "valid", "--json"))
    assert report["what"] == "exact log-likelihood of the tokens given source"
    assert report["density"] == "exact"
    assert not [name for name in report if name.startswith("bits")], "words hide what they do not know"
    assert report["mean"] > -1


def test_under_byte_pairs_the_text_has_a_bound(ask):
    report = json.loads(ask("score", "bytes", "--split", "valid", "--json"))
    assert report["what"] == "exact log-likelihood of the tokens, a lower bound of that of the text"
    assert "bits_per_character_at_most" in report


def test_evaluation_is_stored_with_its_protocol(ask, folder):
    ask("evaluate", "pairs", "--beam", 2)
    scores = {score["what"]: score for score in json.loads((folder / "pairs" / "scores.json").read_text())}
    assert scores["exact match"]["value"] > 0.9
    assert scores["exact match"]["protocol"]["sampling"]["beam"] == 2
    ask("evaluate", "lines")
    ask("evaluate", "running")
    assert main(["compare", str(folder / "lines"), str(folder / "running"), "--trust", "--any-protocol", "--out",
                 str(folder / "compare.png")]) == 0  # fmt: skip


# Translations


def test_lines_keep_their_order_and_blank_lines_stay_blank(ask, tmp_path):
    printed = ask("translate", "pairs", stdin="le chat\n\nun chien couru\r\n")
    assert printed == "the cat\n\na dog ran\n"
    assert ask("translate", "spelled", stdin="chat\n\u3000\t\nun\n").splitlines()[1] == "", "blanks that are in no alphabet"
    file = tmp_path / "lines.fr"
    file.write_text("le chat\n\nun chien couru\n")
    assert ask("translate", "pairs", "--data", file, "--n", 1) == "the cat\n"
    assert ask("translate", "pairs", "--text", "un chien couru", "--beam", 1) == "a dog ran\n"
    ask("translate", "pairs", "--data", file, "--out", tmp_path / "x.txt")
    assert (tmp_path / "x.txt").read_text() == "the cat\n\na dog ran\n"
    ask("translate", "pairs", "--data", file, "--out", tmp_path / "x.tsv")
    assert (tmp_path / "x.tsv").read_text() == "le chat\tthe cat\n\t\nun chien couru\ta dog ran\n"


def test_a_terminal_is_answered_line_by_line(ask, folder, capsys, monkeypatch):
    class Typed(io.BytesIO):
        def read1(self, size=-1):
            return self.readline()

    stdin = io.TextIOWrapper(Typed(b"le chat\n\xff chien\nun zzz qqq\nun chien\n"))
    monkeypatch.setattr(stdin, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", stdin)
    monkeypatch.setattr("pofx.commands.progress.Counting", None)  # which would draw a bar
    assert main(["translate", str(folder / "pairs"), "--trust"]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 3
    assert out.splitlines()[::2] == ["the cat", "a dog"]
    assert err.splitlines() == [
        "one line at a time; Ctrl-D ends",
        "pofx: standard input: line 2: character 1 is the byte 0xff, which is not text in UTF-8: write it anew, as UTF-8",
        "note: 2 words are not known (line 3: zzz, qqq)",
    ]


def test_lines_are_taken_as_they_arrive(monkeypatch):
    pieces = [b"\xef\xbb\xbfone\r\ntw", b"o\nthree\nfour\n", b"fi", b"ve", b""]
    left = iter(pieces)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=SimpleNamespace(read1=lambda most: next(left))))
    lines = arriving(2)
    assert next(lines) == ["one"]
    assert next(lines) == ["two", "three"]
    assert next(left) == b"fi", "nothing was read ahead"
    assert list(lines) == [["four"], ["ve"]]


def test_translations_come_as_they_are_done(ask, folder, tmp_path, monkeypatch):
    """In the order of their sources, though the short ones of a block are translated first; what is done is kept."""
    rows = (folder / "train.fr").read_text().splitlines()[:50]
    monkeypatch.setattr(sys.modules["pofx.commands.translate"], "BLOCK", 20)
    whole = ask("translate", "pairs", stdin="\n".join(rows))
    assert whole.splitlines() == [ask("translate", "pairs", "--text", row).rstrip("\n") for row in rows[:3]] + whole.splitlines()[3:]
    assert len(whole.splitlines()) == 50
    file = tmp_path / "x.jsonl"
    source = tmp_path / "rows.fr"
    source.write_text("\n".join(rows))
    ask("translate", "pairs", "--data", source, "--out", file)
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["source"] for row in written] == rows
    assert [row["x"] for row in written] == whole.splitlines()
    assert json.loads(ask("translate", "pairs", "--data", source, "--json"))["translations"] == whole.splitlines()

    from pofx.evaluate import text

    translations, calls = text.translations, []

    def stopped(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return translations(*arguments)

    monkeypatch.setattr(text, "translations", stopped)
    assert main(["translate", str(folder / "pairs"), "--trust", "--data", str(source), "--out", str(file)]) == 130
    assert len(file.read_text().splitlines()) == 20, "what was done is kept"


def test_words_that_are_not_known_are_named(ask, folder, tmp_path, capsys):
    file = tmp_path / "x.fr"
    file.write_text("le chat\nzzz chat qqq\nun yyy\n")
    assert main(["translate", str(folder / "pairs"), "--trust", "--data", str(file)]) == 0
    assert capsys.readouterr().err == "note: 3 words are not known (line 2: zzz, qqq; line 3: yyy)\n"
    assert main(["inspect", str(folder / "pairs"), "--trust", "--source", "le zzz", "--out", str(tmp_path / "x.png")]) == 0
    assert capsys.readouterr().err == "note: 1 word is not known (zzz)\n"


# Samples given a source


def test_texts_are_drawn_given_a_source(ask, folder, tmp_path, monkeypatch):
    assert ask("sample", "pairs", "--source", "le chat", "--temperature", 0, "--n", 2) == "the cat\nthe cat\n"
    assert len(ask("sample", "pairs", "--source", "le chat", "--top-k", 3, "--top-p", 0.9).splitlines()) == 8
    file = tmp_path / "x.fr"
    file.write_text("le chat\n\nun chien couru\n")
    assert ask("sample", "pairs", "--data", file, "--temperature", 0) == "the cat\na dog ran\n"
    ask("sample", "pairs", "--data", file, "--temperature", 0, "--n", 2, "--out", tmp_path / "x.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [(row["source"], row["text"]) for row in rows] == [("le chat", "the cat")] * 2 + [("un chien couru", "a dog ran")] * 2
    assert ask("sample", "pairs", "--source", "le chat", "--prompt", "a", "--temperature", 0, "--n", 1).startswith("a ")
    assert ask("sample", "reader", "--source", folder / "pictures" / "two" / "two3.png", "--temperature", 0, "--n", 1) == "two\n"
    assert len(ask("sample", "reader", "--data", folder / "pictures").splitlines()) == 16
    terminal = Terminal()
    expected = ask("sample", "pairs", "--source", "un chien couru", "--n", 2)
    monkeypatch.setattr("sys.stdout", terminal)
    assert main(["sample", str(folder / "pairs"), "--trust", "--source", "un chien couru", "--n", "2"]) == 0
    assert terminal.getvalue() == expected
    first = expected.splitlines()[0]
    assert "".join(terminal.parts).startswith(first)
    assert len(terminal.parts) > 3, "token by token"


def test_pictures_are_read(ask, folder, tmp_path):
    report = json.loads(ask("translate", "reader", "--data", folder / "pictures", "--json"))
    assert report["items"] == 16
    assert report["translations"] == [Path(name).name.rstrip("01234567.png") or "one" for name in report["sources"]]
    assert set(ask("translate", "reader").split()) <= {"one", "two"}
    ask("translate", "reader", "--data", folder / "pictures", "--n", 2, "--out", tmp_path / "read.tsv")
    assert len((tmp_path / "read.tsv").read_text().splitlines()) == 2


def test_pictures_are_made_like_those_of_the_model(ask, folder, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    light = Image.open(folder / "pictures" / "two" / "two1.png")
    light.save(pictures / "a.png")
    light.resize((24, 24)).save(pictures / "b.png")
    light.convert("RGB").resize((16, 16)).save(pictures / "c.png")
    assert main(["translate", str(folder / "reader"), "--trust", "--data", str(pictures)]) == 0
    out, err = capsys.readouterr()
    assert out == "two\n" * 3
    assert err.splitlines() == ["note: pictures of 24x24 (b.png), 16x16 (c.png) are made 8x8", "note: pictures that are rgb are made grey"]
    assert ask("translate", "reader", "--data", pictures / "a.png") == "two\n"
    ask("inspect", "reader", "--data", pictures, "--item", 2, "--out", tmp_path / "x.png")
    light.resize((16, 8)).save(pictures / "d.png")
    message = ask("translate", "reader", "--data", pictures, status=2)
    assert "d.png is 16x8, and 8x8 is wanted, which is another shape: cut it to that shape" in message


# Looking inside


def test_attention_and_gates_are_drawn(ask, folder, tmp_path):
    ask("translate", "pairs", "--text", "le chat", "--attention", tmp_path / "a.png")
    ask("inspect", "pairs", "--source", "le chat", "--out", tmp_path / "b.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    ask("inspect", "reader", "--data", folder / "pictures", "--item", 3, "--out", tmp_path / "c.png")
    ask("inspect", "lines", "--text", "the cat")
    width, height = Image.open(folder / "lines" / "samples" / "inside.png").size
    assert height > width, "gates, and states under them"


def test_layers_and_heads_are_drawn_one_by_one(folder, tmp_path, capsys):
    pairs = ["--data", str(folder / "train.fr"), "--target", str(folder / "train.en"), "--tokens", "words"]
    small = {
        "transformer": [*pairs, "--layers", "2", "--heads", "2", "--width", "4"],
        "attention": [*pairs, "--layers", "2", "--hidden", "4"],
        "recurrent_lm": ["--data", str(folder / "lines.txt"), "--layers", "2", "--hidden", "4"],
        "reader": ["--data", str(folder / "captions.jsonl"), "--target", "caption", "--hidden", "4"],
    }
    given = ["--source", "le chat"]
    looks = {"transformer": given, "attention": given, "recurrent_lm": ["--text", "the cat"], "reader": []}
    for name, flags in small.items():
        assert main(["train", name, *flags, "--steps", "1", "--out", str(tmp_path / name)]) == 0

    def drawn(name, *flags):
        assert main(["inspect", str(tmp_path / name), *looks[name], *flags, "--out", str(tmp_path / "a.png")]) == 0
        return (tmp_path / "a.png").read_bytes()

    whole = ([], ["--head", "1"], ["--head", "2"], ["--layer", "1"], ["--layer", "2"], ["--layer", "2", "--head", "1"])
    assert len({drawn("transformer", *flags) for flags in whole}) == 6
    for name in ("attention", "recurrent_lm"):
        assert drawn(name, "--layer", "1") != drawn(name) == drawn(name, "--layer", "2")
    for name, *flags, message in (
        ("transformer", "--layer", "3", "--layer 3 is not there: transformer has 2 to draw"),
        ("transformer", "--head", "3", "--head 3 is not there: transformer has 2 to draw"),
        ("attention", "--layer", "3", "--layer 3 is not there: rnn_attention has 2 to draw"),
        ("recurrent_lm", "--layer", "3", "--layer 3 is not there: recurrent_lm has 2 to draw"),
        ("recurrent_lm", "--head", "1", "recurrent_lm has no attention, and so no heads: remove --head"),
        ("reader", "--layer", "2", "--layer 2 is not there: image_to_text has 1 to draw"),
        ("transformer", "--head", "0", "--head must be 1 or more"),
    ):
        capsys.readouterr()
        assert main(["inspect", str(tmp_path / name), *looks[name], *flags]) == 2
        assert message in capsys.readouterr().err


def test_cells_are_where_they_belong():
    matrix = np.zeros((2, 3))
    matrix[1, 2] = 1
    picture, note = heat({"m": matrix}, {"m": ["a", "b"]}, {"m": ["x", "y", "z"]}, title="")
    assert note is None
    dark = np.argwhere(np.asarray(picture)[..., 0] < 20)
    inside = [(y, x) for y, x in dark.tolist() if (np.asarray(picture)[y : y + 20, x : x + 20, 0] < 20).all()]
    assert min(y for y, _ in inside) > picture.height / 2 - 40
    assert min(x for _, x in inside) > picture.width / 3


def test_characters_without_a_font_are_written_as_numbers():
    families, missing = fonts("ab\U0010fffd")
    assert families == ["DejaVu Sans"]
    assert missing == ["\U0010fffd"]
    assert escaped("a\U0010fffd", missing) == "aU+10FFFD"
    _, note = heat({"m": np.eye(2)}, {"m": ["a", "\U0010fffd"]}, {}, title="")
    assert note is not None
    assert "no installed font has" in note


# Codes


def test_the_way_between_two_texts(ask, folder, tmp_path):
    printed = ask("interpolate", "coded", "--between", "the cat", "a dog ran", "--steps", 3).splitlines()
    assert sorted(printed[0].split()) == ["cat", "the"]
    assert sorted(printed[-1].split()) == ["a", "dog", "ran"]
    ask("interpolate", "coded", "--pairs", 2, "--out", tmp_path / "ways.jsonl")
    assert len((tmp_path / "ways.jsonl").read_text().splitlines()) == 2
    printed = ask("reconstruct", "coded", "--split", "valid", "--n", 2).splitlines()
    assert [line.split("  ")[0] for line in printed if line] == ["original", "reconstruction"] * 2
    assert (folder / "coded" / "samples" / "reconstructions.txt").read_text().startswith("\n".join(printed[:2]))
    ask("embed", "coded", "--out", tmp_path / "codes.csv")
    assert "text" in (tmp_path / "codes.csv").read_text().splitlines()[0]


# Bad input: one line each


@pytest.mark.parametrize(
    ("verb", "run", "flags", "message"),
    [
        ("translate", "pairs", ["--text", " "], "--text is empty"),
        ("translate", "pairs", ["--data", "nowhere.txt"], "there is no file nowhere.txt"),
        ("translate", "pairs", ["--text", "le", "--beam", "0"], "--beam must be 1 or more, not 0"),
        ("translate", "pairs", ["--text", "le", "--length", "0"], "--length must be 1 or more, not 0"),
        ("translate", "pairs", ["--text", "le " * 30], "--text has 31 tokens with its EOS"),
        ("translate", "pairs", ["--text", "le", "--data", "x"], "pass --text or --data, not both"),
        ("translate", "lines", ["--text", "le"], "has no translate"),
        ("translate", "pairs", ["--text", "le\nle\tchat", "--out", "x.tsv"], "line 2 has a tab, which is what parts the columns"),
        ("translate", "pairs", ["--text", "\udcff abc"], "--text: character 1 is the byte 0xff"),
        ("sample", "lines", ["--prompt", "caf\udce9"], "--prompt: character 4 is the byte 0xe9"),
        ("sample", "pairs", ["--source", "le", "--prompt", "zzz"], "--prompt: 1 word is not known (zzz)"),
        ("sample", "pairs", ["--source", "le", "--data", "x"], "pass --source or --data, not both"),
        ("sample", "reader", [], "pass the source, as in --source PICTURE"),
        ("sample", "lines", ["--source", "le"], "nothing is given, so remove --source"),
        ("interpolate", "coded", ["--between", "the cat", "the zzz"], "--between: 1 word is not known (line 2: zzz)"),
        ("inspect", "pairs", ["--source", "le", "--text", "the zzz"], "--text: 1 word is not known (zzz)"),
        ("translate", "reader", ["--text", "one"], "pass them with --data, not --text"),
        ("translate", "reader", ["--data", "ring"], "levels=256): ring has Vector(dims=2), and pictures are wanted"),
        ("inspect", "reader", ["--item", "99"], "--item 99 is not there"),
        ("sample", "pairs", [], 'pass the source, as in --source "..."; the likeliest x'),
        ("sample", "lines", ["--prompt", "7"], "--prompt: the character '7'"),
        ("sample", "lines", ["--prompt", "the " * 20], "pass a longer --length"),
        ("sample", "lines", ["--given", "x"], "draws text, which has no given"),
        ("score", "lines", ["--picture", "x.png"], "scores text: remove --picture"),
        ("inspect", "lines", [], "pass the text to read with --text"),
        ("inspect", "pairs", ["--text", "the"], "pass the source with --source"),
        ("inspect", "lines", ["--source", "the"], "nothing is given"),
        ("inspect", "running", ["--text", "the cat sat on"], "--text has 14 tokens, and"),
        ("interpolate", "coded", ["--between", "the"], "--between takes two texts, not 1"),
        ("traverse", "coded", [], "traverse draws pictures"),
        ("interpolate", "lines", ["--between", "the", "a"], "has no encode"),
    ],
)
def test_bad_input_is_one_line(verb, run, flags, message, ask):
    assert message in ask(verb, run, *flags, status=2)


def test_a_bad_line_is_named(ask, folder, tmp_path):
    long, odd, empty = tmp_path / "long.txt", tmp_path / "odd.txt", tmp_path / "empty.txt"
    long.write_text("le chat\n" + "le " * 40 + "\n")
    odd.write_bytes(b"le chat\nle ch\xff\n")
    empty.write_text("\n\n")
    assert f"{long}: line 2 has 41 tokens with its EOS" in ask("translate", "pairs", "--data", long, status=2)
    assert f"{odd} is not text in UTF-8: byte 13 (line 2) is 0xff" in ask("translate", "pairs", "--data", odd, status=2)
    assert f"{empty} is empty" in ask("translate", "pairs", "--data", empty, status=2)
    assert "standard input is empty" in ask("translate", "pairs", status=2)
    long.write_text("the cat\n" + "the " * 40 + "\n")
    assert ask("score", "lines", "--data", long, status=2).endswith(": shorten it"), "a trained model takes no other length"
    assert "has x only; name the targets with --target" in ask("score", "pairs", "--data", folder / "train.en", status=2)
    strange = tmp_path / "strange.txt"
    strange.write_text("the cat\nthe \u3042\n")
    for run in ("running", "lines"):
        assert "line 2: the character '\u3042'" in ask("score", run, "--data", strange, status=2)


def test_pairs_whose_sides_differ_in_length_are_evaluated_as_they_were_read(tmp_path, capsys):
    """Nobody named a length: each side has its own, of which the record keeps but one."""
    pairs = [{"s": "ab" * (1 + i % 6) + "c", "t": "ba" * (1 + i % 3)} for i in range(60)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    line = [
        "train",
        "seq2seq",
        "--data",
        tmp_path / "pairs.jsonl",
        "--source",
        "s",
        "--target",
        "t",
        "--steps",
        2,
        "--out",
        tmp_path / "run",
    ]
    assert main([*map(str, line), "--hidden", "4", "--embedding", "4"]) == 0
    capsys.readouterr()
    assert main(["evaluate", str(tmp_path / "run"), "--json"]) == 0
    scores = {score["what"]: score["protocol"] for score in json.loads(capsys.readouterr().out)["scores"]}
    assert scores["nats per token given source"]["rows"] == 6

"""Pairs: two files, folders of them, columns, JSON lines, pictures with captions."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest
import torch

from pofx.data import load, reload
from pofx.errors import UserError
from pofx.kinds import Image, Tokens

GERMAN = [f"Satz Nummer {i} ist {'sehr ' * (i % 4)}kurz" for i in range(40)]
ENGLISH = [f"Sentence number {i} is {'very ' * (i % 4)}short" for i in range(40)]


def write(path, lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def folder(path):
    for part, rows in (("train", slice(0, 30)), ("val", slice(30, 40))):
        write(path / f"{part}.de", GERMAN[rows])
        write(path / f"{part}.en", ENGLISH[rows])
    return path


def pairs(data, split: str) -> list[tuple[str, str]]:
    batch = data.splits[split].read(range(len(data.splits[split])))
    return [(data.tokenizers["source"].decode(s), data.tokenizers["x"].decode(x)) for s, x in zip(batch["source"], batch["x"], strict=True)]


def test_a_folder_of_both_languages(tmp_path):
    data = load(folder(tmp_path / "pairs"), source="de", target="en", tokens="words", vocabulary=40)
    assert pairs(data, "train") == list(zip(GERMAN[:30], ENGLISH[:30], strict=True))
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 30, "valid": 10}
    assert all(isinstance(data.fields[name], Tokens) for name in ("x", "source"))
    assert data.record["tokenizers"] == {name: data.fields[name].tokenizer for name in ("x", "source")}
    assert reload(json.loads(json.dumps(data.record))).record == data.record
    shared = load(tmp_path / "pairs", source="de", target="en", shared=True)
    assert len({(kind.vocabulary, kind.tokenizer) for kind in shared.fields.values()}) == 1
    alone = load(tmp_path / "pairs", target="de")
    assert list(alone.fields) == ["x"]
    assert alone.tokenizers["x"].decode(alone.splits["train"].read([3])["x"][0]) == GERMAN[3]


def test_each_side_has_its_own_length(tmp_path):
    rows = [f"{'ab' * 100}\t{x}{y}" for x in "abcde" for y in "abcde"]
    data = load(write(tmp_path / "x.tsv", rows))
    assert {name: kind.length for name, kind in data.fields.items()} == {"source": 2 * 201, "x": 2 * 3}
    again = reload(json.loads(json.dumps(data.record)))
    assert (again.fields, again.record) == (data.fields, data.record)
    shorter = load(write(tmp_path / "new.tsv", ["ab\tc"] * 25), tokenizers=data.tokenizers, lengths={"source": 402, "x": 6})
    assert shorter.fields == data.fields, "those of a trained model, whatever the new text has"
    with pytest.raises(UserError, match=r"line 1 has 7 tokens with its EOS, more than --length 6: shorten it$"):
        load(write(tmp_path / "long.tsv", ["ab\tabcabc"] * 25), tokenizers=data.tokenizers, lengths={"source": 402, "x": 6})
    assert {kind.length for kind in load(tmp_path / "x.tsv", length=300).fields.values()} == {300}


def test_two_files_and_two_columns(tmp_path, monkeypatch):
    source, target = write(tmp_path / "a" / "de.txt", [*GERMAN, ""]), write(tmp_path / "b" / "en.txt", [*ENGLISH, ""])
    monkeypatch.chdir(tmp_path / "a")
    files = load("de.txt", target="../b/en.txt")
    assert files.problems == ["de.txt: 1 line left out, blank (line 41)"]
    assert files.record["target"] == str(target)
    monkeypatch.chdir(tmp_path)
    assert reload(files.record).record == files.record
    columns = load(write(tmp_path / "x.tsv", [f"{s}\t{t}" for s, t in zip(GERMAN, ENGLISH, strict=True)]))
    for data in (files, columns):
        found = [pair for split in data.splits for pair in pairs(data, split)]
        assert sorted(found) == sorted(zip(GERMAN, ENGLISH, strict=True))
    assert pairs(columns, "train") == pairs(files, "train"), "pairs are cut as other rows are"
    turned = load(tmp_path / "x.tsv", source="2", target="1")
    assert [(t, s) for s, t in pairs(turned, "train")] == pairs(columns, "train")
    assert source.exists()


def test_json_lines(tmp_path):
    rows = [json.dumps({"de": s, "en": t, "n": i}, ensure_ascii=False) for i, (s, t) in enumerate(zip(GERMAN, ENGLISH, strict=True))]
    path = write(tmp_path / "x.jsonl", rows)
    data = load(path, source="de", target="en")
    assert sorted(pair for split in data.splits for pair in pairs(data, split)) == sorted(zip(GERMAN, ENGLISH, strict=True))
    assert list(load(path, target="de").fields) == ["x"]
    for options, message in [
        ({"source": "de", "target": "eng"}, "line 1 has no 'eng'; did you mean en"),
        ({"source": "ed", "target": "en"}, "line 1 has no 'ed'"),
        ({"source": "de"}, "needs a --target"),
        ({"target": "n"}, "line 1 has nothing to read under 'n'"),
    ]:
        with pytest.raises(UserError, match=message):
            load(path, **options)


def test_pictures_with_captions(tmp_path):
    rows = []
    for i in range(20):
        file = tmp_path / "emoji" / ("one" if i % 2 else "two") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.fromarray(np.full((6, 6, 3), i, np.uint8)).save(file)
        rows.append(json.dumps({"image": str(file.relative_to(tmp_path / "emoji")), "caption": f"shade {i}" if i else ""}))
    write(tmp_path / "emoji" / "captions.jsonl", rows)
    data = load(tmp_path / "emoji", target="caption")
    assert data.fields["source"] == Image(3, 6, 6)
    assert data.problems == ["captions.jsonl: 1 line left out, without caption (line 1)"]
    for split in data.splits.values():
        batch = split.read(range(len(split)))
        shown = [data.tokenizers["x"].decode(x) for x in batch["x"]]
        assert shown == [f"shade {round(value * 255)}" for value in batch["source"][:, 0, 0, 0].tolist()]
        assert [name.split("/")[1] for name in split.names] == [f"{text.split()[1]}.png" for text in shown]
    some = load(tmp_path / "emoji" / "one", target="caption")
    assert sum(map(len, some.splits.values())) == 10
    assert list(load(tmp_path / "emoji" / "one").fields) == ["x"], "without --target they are pictures"


def styles(path, count: int = 20):
    """The same groups drawn in three folders, and captions of all; two groups have one caption."""
    rows = []
    for i in range(count):
        for style in ("blue", "ink", "oil"):
            file = path / style / f"{i:02}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            PIL.Image.fromarray(np.full((4, 4), 4 * i, np.uint8)).save(file)
            rows.append(json.dumps({"image": f"{style}/{i:02}.png", "caption": f"shade {max(1, i)}"}))
    write(path / "captions.jsonl", rows)
    return path


def test_pictures_of_one_thing_stay_in_one_split(tmp_path):
    data = load(styles(tmp_path / "drawn"), target="caption", tokens="words")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 48, "valid": 6, "test": 6}
    assert data.record["groups"] == 20
    where: dict[str, set[str]] = {}
    for name, split in data.splits.items():
        assert list(split.names) == sorted(split.names, key=lambda file: (file.split("/")[1], file)), "rows keep their order"
        for file in split.names:
            where.setdefault(file.split("/")[1], set()).add(name)
    assert len(where) == 20
    assert all(len(splits) == 1 for splits in where.values())
    trained = {text for x in data.splits["train"].read(range(48))["x"] for text in data.tokenizers["x"].decode(x).split()}
    assert trained == {"shade", *(str(max(1, int(file[:2]))) for file, (split,) in where.items() if split == "train")}
    assert reload(json.loads(json.dumps(data.record))).record == data.record
    with pytest.raises(UserError, match="was cut row by row, and now pictures of one group stay in one split: train anew"):
        reload({name: value for name, value in data.record.items() if name != "groups"})
    with pytest.raises(UserError, match="1 group gives 0 for test, 1 for valid and 0 to train on"):
        load(styles(tmp_path / "few", count=1), target="caption")


def test_pictures_of_different_things_are_cut_as_other_rows_are(tmp_path):
    folder = styles(tmp_path / "drawn") / "ink"
    captioned, plain = load(folder, target="caption"), load(folder)
    assert "groups" not in captioned.record
    for name, split in plain.splits.items():
        assert captioned.splits[name].names == [f"ink/{file}" for file in split.names]


def test_emoji_as_they_lie(pofx_data):
    data = load(pofx_data / "emoji" / "twitter", target="caption", size=8)
    assert data.fields["source"] == Image(3, 8, 8)
    assert "without caption" in data.problems[0]


def test_source_and_target_of_a_batch_are_partners(tmp_path):
    data = load(folder(tmp_path / "pairs"), source="de", target="en")
    for number in range(9):
        batch = data.splits["train"].batch(number, 7, seed=0)
        for s, x in zip(batch["source"], batch["x"], strict=True):
            assert data.tokenizers["source"].decode(s).split()[2] == data.tokenizers["x"].decode(x).split()[2]
    assert torch.equal(data.splits["train"].batch(2, 7, seed=0)["x"], reload(data.record).splits["train"].batch(2, 7, seed=0)["x"])


def two(source, target):
    def make(path):
        write(path / "train.de", source)
        write(path / "train.en", target)

    return make


BAD = [  # how the folder is made, options, what the error says
    (two(GERMAN, ENGLISH[:-2]), {}, r"train\.de has 40 lines and .*train\.en 38: line 39 of the longer has no partner"),
    (two(["a", "", *GERMAN], ["b", "c", *ENGLISH]), {}, r"train\.de: line 2 is blank, but that of .*train\.en is not"),
    (two(["a", "c", *GERMAN], ["b", " ", *ENGLISH]), {}, r"train\.en: line 2 is blank, but that of .*train\.de is not"),
    (two(GERMAN, ENGLISH), {"source": "fr"}, r"no train\.fr for --source fr: known: de, en"),
    (two(GERMAN, ENGLISH), {"source": None, "target": None}, r"has train\.de, train\.en: name which are paired, as in --source de"),
    (two(GERMAN, ENGLISH), {"window": 5}, "no use for --window"),
    (two(GERMAN, ENGLISH), {"label": "a"}, "no use for --label"),
    (two(GERMAN, ENGLISH), {"length": 20}, r"train\.en: line 1 has 27 tokens with its EOS, more than --length 20"),
    (lambda path: (two(GERMAN, ENGLISH)(path), write(path / "val.de", GERMAN)), {}, r"has val\.de and no such file for en"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "options", "message"), BAD, ids=[message[:24] for *_, message in BAD])
def test_what_the_user_must_mend(tmp_path, make, options, message):
    make(tmp_path / "pairs")
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path / "pairs", **{"source": "de", "target": "en", **options})
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "options", "message"),
    [
        ("alone", {}, "line 41 has 1 columns, and it must have 2"),
        ("a\t", {}, "line 41 has nothing in column 2"),
        ("a\tb", {"target": "3"}, "pass --target with one from 1 to 2, not '3'"),
        ("a\tb", {"source": "de"}, "pass --source with one from 1 to 2, not 'de'"),
    ],
)
def test_columns_that_are_none(tmp_path, line, options, message):
    path = write(tmp_path / "x.tsv", [*(f"{s}\t{t}" for s, t in zip(GERMAN, ENGLISH, strict=True)), line])
    with pytest.raises(UserError, match=message):
        load(path, **options)


@pytest.mark.parametrize("options", [{"source": "de", "target": "en"}, {"source": "de"}, {"target": "en"}])
def test_a_header_is_no_pair_where_it_names_the_columns(tmp_path, options):
    rows = [f"{t}\t{s}" for s, t in zip(GERMAN, ENGLISH, strict=True)]
    data = load(write(tmp_path / "x.tsv", ["en\tde", *rows]), **options)
    assert sorted(pair for split in data.splits for pair in pairs(data, split)) == sorted(zip(GERMAN, ENGLISH, strict=True))


def test_half_a_character_in_json_is_named(tmp_path):
    path = write(tmp_path / "x.jsonl", ['{"en": "a b"}'] * 30 + ['{"en": "y \\ud800 y"}'])
    with pytest.raises(UserError, match=r"line 31, 'en': character 3 is half a character \(U\+D800\)"):
        load(path, target="en")


def test_one_side_alone(tmp_path):
    path = write(tmp_path / "x.de", GERMAN)
    with pytest.raises(UserError, match="is one side of pairs: name the file of the sources with --data"):
        load(path, source="x.en")
    with pytest.raises(UserError, match=r"--target gone\.en is none of targets"):
        load(path, target="gone.en")

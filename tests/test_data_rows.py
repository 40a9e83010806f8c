"""What is said of a row is of the person's own file: whatever a source leaves out shifts nothing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet
import pytest

from pofx.cli import main
from pofx.data import cache, load
from pofx.data.contents import Contents
from pofx.data.sources import hub
from pofx.kinds import Category, Vector
from pofx.session import Rows

N = 40
BAD = (1, 2, 17)  # and these are the others
GOOD = [i for i in range(N) if i not in BAD]


@pytest.fixture(autouse=True)
def cached(tmp_path, monkeypatch):
    monkeypatch.setenv("POFX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "packs"


def table(path, *, bad: tuple[int, ...] = BAD):
    """Numbers and classes that say their row."""
    lines = [f"{i},{'' if i in bad else -i},class {i % 3}" for i in range(N)]
    path.write_text("\n".join(["a,b,kind", *lines]) + "\n")
    return path


def pictures(folder, *, bad: tuple[int, ...] = BAD):
    """Pictures as light as their number, in folders of classes; some are broken."""
    for i in range(N):
        path = folder / f"{i // 20}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("L", (2, 2), 2 * i).save(path)
        if i in bad:
            path.write_bytes(b"nothing")
    return folder


def light(rows: Rows) -> list[int]:
    """Which of `pictures` each row shows."""
    return (rows.read(range(len(rows)))["x"][:, 0, 0, 0] * 255 / 2).round().int().tolist()


def test_the_rows_of_a_table_are_those_of_the_file_whatever_is_skipped(tmp_path):
    data = load(table(tmp_path / "x.csv"), skip_bad=True)
    rows = Rows(data, "all")
    about = rows.ids()
    assert about["row"][:3] == [0, 3, 4]
    assert about["row"] == GOOD == rows.read(range(len(rows)))["x"][:, 0].int().tolist()
    assert about["label"] == [f"class {i % 3}" for i in GOOD]
    for part, split in data.splits.items():
        own = Rows(data, part)
        assert own.ids()["row"] == split.source.tolist() == split.read(range(len(split)))["x"][:, 0].int().tolist()
        assert own.ids()["label"] == [f"class {i % 3}" for i in own.ids()["row"]]
    assert Rows(load(tmp_path / "x.csv", True, skip_bad=True), "all").ids()["row"] == GOOD
    labelled = load(tmp_path / "x.csv", skip_bad=True, labelled=6)
    about = Rows(labelled, "train").ids()
    assert about["row"] == Rows(data, "train").ids()["row"]
    assert [label for row, label in zip(about["row"], about["label"], strict=True) if label not in (None, f"class {row % 3}")] == []


def test_splits_are_cut_by_the_rows_that_are_there(tmp_path):
    """What was drawn before must be drawn again: which rows a split has is a function of their number among those that were read."""
    some = load(table(tmp_path / "x.csv"), skip_bad=True)
    header, *lines = (tmp_path / "x.csv").read_text().splitlines()
    (tmp_path / "y.csv").write_text("\n".join([header, *(lines[i] for i in GOOD)]))
    whole = load(tmp_path / "y.csv")
    for part, split in some.splits.items():
        assert split.columns["x"].rows.tolist() == whole.splits[part].columns["x"].rows.tolist()
        assert whole.splits[part].source is None
    assert not any("source" in key or key == "rows" for key in some.record if key != "source")


def test_the_rows_of_parquet_files(tmp_path):
    numbers = pa.table({"a": [float(i) for i in range(N)], "b": [None if i in BAD else 1.0 for i in range(N)]})
    pyarrow.parquet.write_table(numbers, tmp_path / "numbers.parquet")
    rows = Rows(load(tmp_path / "numbers.parquet", skip_bad=True), "all")
    assert rows.ids()["row"] == GOOD == rows.read(range(len(rows)))["x"][:, 0].int().tolist()
    files = sorted(pictures(tmp_path / "p").rglob("*.png"))
    cells = [{"bytes": file.read_bytes(), "path": None} for file in files]
    pyarrow.parquet.write_table(pa.table({"image": cells, "label": list(range(N))}), tmp_path / "pictures.parquet")
    rows = Rows(load(tmp_path / "pictures.parquet", skip_bad=True), "all")
    assert rows.ids()["row"] == GOOD == light(rows)
    assert list(map(int, rows.ids()["label"])) == GOOD


def test_the_rows_of_a_folder_of_pictures_are_its_files_in_order(tmp_path):
    rows = Rows(load(pictures(tmp_path / "p"), skip_bad=True), "all")
    about = rows.ids()
    assert about["row"] == GOOD == light(rows)
    assert about["file"] == [f"{i // 20}/{i:02}.png" for i in GOOD]
    assert about["label"] == [f"{i // 20}" for i in GOOD]


def test_each_part_of_a_folder_has_rows_of_its_own(tmp_path):
    for part, bad in (("train", BAD), ("valid", ()), ("test", (0,))):
        pictures(tmp_path / "p" / part, bad=bad)
    data = load(tmp_path / "p", skip_bad=True)
    assert data.splits["valid"].source is None
    for part, rows in (("train", GOOD), ("valid", list(range(N))), ("test", list(range(1, N)))):
        assert Rows(data, part).ids()["row"] == rows == light(Rows(data, part))
    assert Rows(data, "all").ids()["row"] == [*GOOD, *range(N), *range(1, N)]


def test_the_rows_of_json_lines_are_its_lines_also_where_some_are_blank(tmp_path):
    pictures(tmp_path)
    lines = [json.dumps({"image": f"{i // 20}/{i:02}.png", "kind": str(i)}) for i in range(N)]
    (tmp_path / "x.jsonl").write_text("\n".join([*lines[:5], "", *lines[5:]]))
    rows = Rows(load(tmp_path / "x.jsonl", skip_bad=True, label="kind"), "all")
    assert rows.ids()["row"] == [i + (i >= 5) for i in GOOD]
    assert light(rows) == list(map(int, rows.ids()["label"])) == GOOD
    (tmp_path / "x.jsonl").write_text("\n".join(["", *lines[:5], lines[5].replace("kind", "king"), *lines[6:]]))
    with pytest.raises(Exception, match=r"line 7 has no 'kind'"):
        load(tmp_path / "x.jsonl", skip_bad=True, label="kind")


def spoken(rows: Rows) -> list[str]:
    return [rows.data.tokenizers["x"].decode(x) for x in rows.read(range(len(rows)))["x"]]


def test_the_rows_of_a_text_are_its_lines_also_where_some_are_blank(tmp_path):
    (tmp_path / "x.txt").write_text("".join("\n" if i in BAD else f"line {i}\n" for i in range(N)))
    rows = Rows(load(tmp_path / "x.txt"), "all")
    assert rows.ids()["row"] == GOOD
    assert spoken(rows) == [f"line {i}" for i in GOOD]
    (tmp_path / "t").mkdir()
    for part in ("train", "valid"):
        (tmp_path / "t" / f"{part}.txt").write_text((tmp_path / "x.txt").read_text() if part == "train" else "a\nb\n")
    assert Rows(load(tmp_path / "t"), "all").ids()["row"] == [*GOOD, 0, 1]


def test_the_rows_of_pairs_are_their_lines_and_a_header_is_none(tmp_path):
    source = ["" if i in BAD else f"quelle {i}" for i in range(N)]
    target = ["" if i in BAD else f"line {i}" for i in range(N)]
    (tmp_path / "de.txt").write_text("\n".join(source))
    (tmp_path / "en.txt").write_text("\n".join(target))
    both = [f"{s}\t{t}" if s else "" for s, t in zip(source, target, strict=True)]
    (tmp_path / "x.tsv").write_text("\n".join(both))
    (tmp_path / "headed.tsv").write_text("\n".join(["", "de\ten", *both]))
    for data in (
        load(tmp_path / "de.txt", target=str(tmp_path / "en.txt")),
        load(tmp_path / "x.tsv"),
        load(tmp_path / "headed.tsv", source="de"),
    ):
        rows = Rows(data, "all")
        assert rows.ids()["row"] == GOOD
        assert spoken(rows) == [f"line {i}" for i in GOOD]


def test_the_rows_of_captions_are_the_lines_of_their_file(tmp_path):
    pictures(tmp_path / "p")
    lines = [json.dumps({"image": f"{i // 20}/{i:02}.png", "caption": "" if i == 30 else f"shade {i}"}) for i in range(N)]
    (tmp_path / "p" / "captions.jsonl").write_text("\n".join(lines))
    rows = Rows(load(tmp_path / "p", target="caption", skip_bad=True), "all")
    assert rows.ids()["row"] == [i for i in GOOD if i != 30]
    assert spoken(rows) == [f"shade {i}" for i in GOOD if i != 30]
    assert rows.ids()["file"] == [f"{i // 20}/{i:02}.png" for i in GOOD if i != 30]
    some = Rows(load(tmp_path / "p" / "1", target="caption", skip_bad=True), "all")
    assert some.ids()["row"] == [i for i in range(20, N) if i != 30], "in the file of all captions"


def test_what_is_made_of_several_rows_has_none_of_the_file(tmp_path):
    pictures(tmp_path / "p")
    data = load(tmp_path / "p", skip_bad=True, stacked=2)
    assert all(split.source is None for split in data.splits.values())


def test_the_rows_of_a_set_from_the_hub(tmp_path):
    datasets = pytest.importorskip("datasets")
    files = sorted(pictures(tmp_path / "p").rglob("*.png"))
    cells = [{"bytes": file.read_bytes(), "path": None} for file in files]
    some = datasets.Dataset.from_dict({"image": cells, "label": list(range(N))}).cast_column("image", datasets.Image())
    chosen = {"size": None, "channels": None, "skip_bad": True, "label": None}
    (tmp_path / "store").mkdir()
    contents = hub.from_datasets(datasets.DatasetDict(train=some), "set", chosen, cache.Store(tmp_path / "store"))
    assert contents.rows["train"].tolist() == GOOD


def packs_written(monkeypatch) -> list[Path]:
    """Grows by one when a pack is written."""
    written, write = list[Path](), cache.write

    def counted(folder, *asked):
        written.append(folder)
        write(folder, *asked)

    monkeypatch.setattr(cache, "write", counted)
    return written


def test_a_pack_without_numbers_is_opened_unless_rows_were_left_out(tmp_path, cached, monkeypatch):
    """Packs that were written before rows had numbers."""
    first = {name: load(table(tmp_path / f"{name}.csv", bad=bad), skip_bad=True) for name, bad in (("whole", ()), ("some", BAD))}
    for manifest in cached.glob("*/manifest.json"):
        stored = json.loads(manifest.read_text())
        assert stored.pop("rows") == ({"all": [[0, 1], [3, 17], [18, 40]]} if "some" in str(manifest) else {})
        manifest.write_text(json.dumps(stored))
    written = packs_written(monkeypatch)
    assert load(tmp_path / "whole.csv", skip_bad=True).record == first["whole"].record
    assert written == []
    again = load(tmp_path / "some.csv", skip_bad=True)
    assert len(written) == 1
    assert again.record == first["some"].record
    assert again.problems == first["some"].problems
    assert Rows(again, "all").ids()["row"] == GOOD
    load(tmp_path / "some.csv", skip_bad=True)
    assert len(written) == 1


def test_numbers_that_are_all_of_them_need_no_word():
    contents = Contents({"x": Vector(1), "label": Category(2)}, {"all": {}})
    contents.number("all", [0, 1, 2])
    assert contents.rows == {}
    contents.number("all", [0, 2])
    assert contents.rows["all"].tolist() == [0, 2]
    for rows in ([5], [0, 1, 2, 4], [1, 3, 5], [0, 7, 8]):
        ranges = cache.in_a_row(np.array(rows))
        assert [i for first, end in ranges for i in range(first, end)] == rows


def test_score_and_embed_write_the_rows_of_the_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table(tmp_path / "x.csv")
    for line in (
        "train vae --data x.csv --skip-bad --latent 1 --steps 2 --out runs/vae",
        "score runs/vae --out scores.csv",
        "embed runs/vae --out codes.csv",
    ):
        assert main(line.split()) == 0
    for name in ("scores.csv", "codes.csv"):
        with open(name, newline="") as file:
            rows = list(csv.DictReader(file))
        assert [int(row["row"]) for row in rows] == GOOD
        assert [row["label"] for row in rows] == [f"class {i % 3}" for i in GOOD]

"""Sources: what comes out is what was put in, pixel by pixel and label by label."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import struct
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from sklearn.datasets import load_digits

from pofx.data import Data, describe, load, reload
from pofx.data.cache import packed
from pofx.data.sources.hub import from_datasets
from pofx.data.sources.images import pixels
from pofx.kinds import Binary, Category, Image, Series, Vector

NUMBERS = np.random.default_rng(0)
NONE = {"size": None, "channels": None, "skip_bad": False, "label": None, "columns": None}


def all_rows(data: Data, field: str = "x") -> torch.Tensor:
    """Every row of the source in its order, put together again from the splits."""
    columns = [split.columns[field] for split in data.splits.values()]
    rows = torch.cat([torch.as_tensor(column.rows) for column in columns])
    return torch.cat([column.read(torch.arange(len(column))) for column in columns])[rows.argsort()]


def stored(data: Data) -> np.ndarray:
    """The same for pictures, as uint8."""
    return (all_rows(data) * 255).round().byte().numpy()


def test_digits_are_scikit_learns():
    data, bunch = load("digits"), load_digits()
    assert data.fields == {"x": Image(1, 8, 8, levels=17), "label": Category(10)}
    np.testing.assert_array_equal(all_rows(data)[:, 0].numpy() * 16, bunch.images)
    np.testing.assert_array_equal(all_rows(data, "label"), bunch.target)


def test_record_loads_the_same_again():
    data = load("digits", binarize="dynamic", valid=0.3, split_seed=4, size=5)
    again = reload(json.loads(json.dumps(data.record)))
    assert again.record == data.record
    for name, split in data.splits.items():
        assert torch.equal(again.splits[name].read(range(9))["x"], split.read(range(9))["x"])


def idx(array: np.ndarray) -> bytes:
    code = {"uint8": 8, "int32": 12, "float32": 13}[array.dtype.name]
    return (
        struct.pack(">HBB", 0, code, array.ndim)
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.astype(array.dtype.newbyteorder(">")).tobytes()
    )


@pytest.mark.parametrize(("ending", "compress"), [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress)])
def test_idx_files(tmp_path, ending, compress):
    x, label = NUMBERS.integers(0, 256, (70, 4, 3), dtype=np.uint8), NUMBERS.integers(0, 3, 70).astype(np.uint8)
    for name, array in (
        ("train-images-idx3", x[:60]),
        ("train-labels-idx1", label[:60]),
        ("t10k-images-idx3", x[60:]),
        ("t10k-labels-idx1", label[60:]),
    ):
        (tmp_path / f"{name}-ubyte{ending}").write_bytes(compress(idx(array)))
    data = load(tmp_path)
    assert data.fields == {"x": Image(1, 4, 3), "label": Category(3)}
    for name, rows in (("train", slice(0, 50)), ("valid", slice(50, 60)), ("test", slice(60, 70))):  # valid is the end of train
        batch = data.splits[name].read(range(rows.stop - rows.start))
        np.testing.assert_array_equal((batch["x"][:, 0] * 255).round(), x[rows])
        np.testing.assert_array_equal(batch["label"], label[rows])


@pytest.mark.parametrize(
    ("array", "kind"),
    [
        (NUMBERS.integers(0, 256, (20, 6, 5), dtype=np.uint8), Image(1, 6, 5)),
        (NUMBERS.integers(0, 256, (20, 6, 5, 3), dtype=np.uint8), Image(3, 6, 5)),
        (NUMBERS.integers(0, 256, (20, 3, 6, 5), dtype=np.uint8), Image(3, 6, 5)),
        (NUMBERS.integers(0, 2, (20, 6, 5), dtype=np.uint8), Binary(1, 6, 5)),
        (NUMBERS.integers(0, 2, (20, 30), dtype=np.uint8), Binary(30)),
        (NUMBERS.random((20, 30)) < 0.5, Binary(30)),
        (NUMBERS.normal(size=(20, 30)), Vector(30)),
        (NUMBERS.integers(-9, 9, (20, 30)), Vector(30)),
        (NUMBERS.normal(size=20), Vector(1)),
        (NUMBERS.normal(size=(20, 9, 2)), Series(9, 2)),
    ],
    ids=lambda value: str(value) if not isinstance(value, np.ndarray) else "",
)
def test_npy_kinds(tmp_path, array, kind):
    np.save(tmp_path / "x.npy", array)
    data = load(tmp_path / "x.npy")
    assert data.fields == {"x": kind}
    assert data.pack is None, "an array is read where it lies"
    expected = array.reshape(20, *kind.shape) if array.shape[-1] != 3 else array.transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(stored(data) if isinstance(kind, Image) else all_rows(data).numpy(), expected.astype(np.float32))


@pytest.mark.parametrize("style", ["{field}", "{part}_{field}", "{field}_{part}"])
def test_npz(tmp_path, style):
    x, label = NUMBERS.normal(size=(30, 4)).astype(np.float32), np.array(["ash", "oak", "elm"] * 10)
    parts = {"": slice(0, 30)} if "part" not in style else {"train": slice(0, 20), "val": slice(20, 24), "test": slice(24, 30)}
    np.savez(
        tmp_path / "x.npz",
        **{style.format(part=p, field=f): a[rows] for p, rows in parts.items() for f, a in (("x", x), ("labels", label))},
    )
    data = load(tmp_path / "x.npz")
    assert data.fields == {"x": Vector(4), "label": Category(3, ("ash", "elm", "oak"))}
    if "part" in style:
        assert {name: len(split) for name, split in data.splits.items()} == {"train": 20, "valid": 4, "test": 6}
        batch = data.splits["test"].read(range(6))
        np.testing.assert_array_equal(batch["x"], x[24:])
        assert [data.fields["label"].names[i] for i in batch["label"]] == label[24:].tolist()
    else:
        np.testing.assert_array_equal(all_rows(data), x)


def make_pictures(folder: Path, *, mixed: bool) -> dict[str, np.ndarray]:
    """PNG pictures of two classes in nested folders: name -> pixels (h, w, 3)."""
    made = {}
    for i in range(30):
        path = folder / ("cats" if i % 3 else "dogs") / f"{i % 2}" / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        array = NUMBERS.integers(0, 256, (10 + 7 * mixed * (i % 2), 8, 3), dtype=np.uint8)
        picture = PIL.Image.fromarray(array)
        (picture.convert("L") if mixed and i % 5 == 0 else picture).save(path)
        made[str(path.relative_to(folder))] = array
    return dict(sorted(made.items()))


def test_folder_of_pictures(tmp_path):
    made = make_pictures(tmp_path, mixed=False)
    (tmp_path / ".DS_Store").write_bytes(b"clutter")
    data = load(tmp_path)
    assert data.fields == {"x": Image(3, 10, 8), "label": Category(2, ("cats", "dogs"))}
    np.testing.assert_array_equal(stored(data), np.stack(list(made.values())).transpose(0, 3, 1, 2))
    assert all_rows(data, "label").tolist() == [int(name.startswith("dogs")) for name in made]
    assert data.problems == []
    for split in data.splits.values():
        assert split.names == [list(made)[row] for row in split.columns["x"].rows]
    assert load(tmp_path / "cats").fields["label"].names == ("0", "1")
    assert "label" not in load(tmp_path / "cats" / "0").fields


def test_folder_with_its_own_splits(tmp_path):
    for part in ("train", "val", "test"):
        make_pictures(tmp_path / part, mixed=False)
    data = load(tmp_path)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 30, "valid": 30, "test": 30}
    assert data.fields["label"] == Category(2, ("cats", "dogs"))
    (tmp_path / "val").rename(tmp_path / "elsewhere")
    assert load(tmp_path).fields["label"].names == ("elsewhere", "test", "train"), "not splits beside another folder"


def test_mixed_folder_with_a_truncated_file(tmp_path):
    made = make_pictures(tmp_path, mixed=True)
    bad, good = sorted(made)[4], sorted(made)[5]
    path = tmp_path / bad
    path.write_bytes(path.read_bytes()[:-150])
    data = load(tmp_path, size=6, channels="grey", skip_bad=True)
    assert data.fields == {"x": Image(1, 6, 6), "label": Category(2, ("cats", "dogs"))}
    assert len(data.problems) == 1
    assert data.problems[0].startswith(f"{bad}: left out, ")
    x = stored(data)
    assert len(x) == 29
    np.testing.assert_array_equal(x[4], pixels(PIL.Image.open(tmp_path / good), 6, "grey"))
    assert all_rows(data, "label").tolist() == [int(name.startswith("dogs")) for name in made if name != bad]
    assert {name for split in data.splits.values() for name in split.names} == set(made) - {bad}


def test_pixels():
    """Flat colours survive every step exactly; so do pixels that are only turned, cut or split into channels."""
    flat = PIL.Image.new("RGB", (40, 20), (10, 20, 30))
    assert pixels(flat, 8, "rgb").reshape(3, -1).T.tolist() == [[10, 20, 30]] * 64
    clear = PIL.Image.new("RGBA", (2, 2), (0, 0, 0, 0))
    assert (pixels(clear, None, "grey") == 255).all(), "transparent is white"
    deep = PIL.Image.fromarray(np.array([[0, 256, 65535]], np.uint16))
    assert pixels(deep, None, "grey").tolist() == [[[0, 1, 255]]]
    wide = np.zeros((4, 8), np.uint8)
    wide[:, 2:6] = 200
    assert (pixels(PIL.Image.fromarray(wide), 4, "grey") == 200).all(), "the centre is kept"
    turned = io.BytesIO()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # lies on its side
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    PIL.Image.fromarray(array).save(turned, "PNG", exif=exif)
    np.testing.assert_array_equal(pixels(PIL.Image.open(turned), None, "grey")[0], np.rot90(array, -1))


def test_json_lines(tmp_path):
    lines = []
    for i in range(12):
        PIL.Image.new("L", (3, 3), i).save(tmp_path / f"{i}.png")
        lines.append({"image": f"{i}.png", "caption": f"number {i}", "parity": ["even", "odd"][i % 2]})
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, reversed(lines))))
    data = load(tmp_path, label="parity")
    assert stored(data)[:, 0, 0, 0].tolist() == list(range(11, -1, -1))
    assert all_rows(data, "label").tolist() == [1, 0] * 6
    assert data.fields["label"].names == ("even", "odd")
    assert data.problems == ["captions.jsonl: caption left out of the batches: not pictures, numbers or classes"]
    assert "label" not in load(tmp_path / "captions.jsonl").fields


@pytest.mark.parametrize("header", [True, False])
def test_csv(tmp_path, header):
    path = tmp_path / "trees.csv"
    rows = [f"{i},{i / 4},{['oak', 'elm'][i % 2]},{10**i if i < 9 else -1}" for i in range(20)]
    path.write_text("\n".join([*(["age, height ,kind,rings"] if header else []), *rows]))
    data = load(path)
    assert data.fields == {"x": Vector(3), "label": Category(2, ("elm", "oak"))}
    assert all_rows(data).tolist() == [[i, i / 4, 10.0**i if i < 9 else -1] for i in range(20)]
    assert all_rows(data, "label").tolist() == [(i + 1) % 2 for i in range(20)]
    names = ("height", "age") if header else ("2", "1")
    assert all_rows(load(path, columns=names)).tolist() == [[i / 4, i] for i in range(20)]


def test_csv_skips_rows_only_when_asked(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,b\n" + "\n".join("1,2" if i != 7 else "1," for i in range(20)))
    data = load(path, skip_bad=True)
    assert all_rows(data).tolist() == [[1, 2]] * 19
    assert data.problems == ["row 8: left out, 'b' has no number"]


def test_labels_that_are_numbers(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("a,quality\n" + "\n".join(f"{i},{3 + i % 4}" for i in range(20)))
    data = load(path, label="quality")
    assert data.fields == {"x": Vector(1), "label": Category(4, ("3", "4", "5", "6"))}
    assert all_rows(data, "label").tolist() == [i % 4 for i in range(20)]


def encoded(i: int) -> bytes:
    file = io.BytesIO()
    PIL.Image.new("RGB", (4, 4), (i, 2 * i, 3 * i)).save(file, "PNG")
    return file.getvalue()


def test_parquet(tmp_path):
    numbers = pa.table({"a": [1.5, 2.5] * 10, "kind": ["x", "y"] * 10})
    pyarrow.parquet.write_table(numbers, tmp_path / "numbers.parquet")
    assert load(tmp_path / "numbers.parquet").fields == {"x": Vector(1), "label": Category(2, ("x", "y"))}
    pictures = pa.table({"image": [{"bytes": encoded(i), "path": None} for i in range(20)], "label": [i % 2 for i in range(20)]})
    pyarrow.parquet.write_table(pictures, tmp_path / "pictures.parquet")
    data = load(tmp_path / "pictures.parquet")
    assert data.fields == {"x": Image(3, 4, 4), "label": Category(2)}
    assert stored(data)[:, :, 0, 0].tolist() == [[i, 2 * i, 3 * i] for i in range(20)]
    assert all_rows(data, "label").tolist() == [i % 2 for i in range(20)]


def test_hub_data_through_datasets(tmp_path):
    datasets = pytest.importorskip("datasets", reason="needs the datasets extra")
    features = datasets.Features(
        {"image": datasets.Image(), "label": datasets.ClassLabel(names=["ash", "oak"]), "caption": datasets.Value("string")}
    )
    for part, rows in (("train", range(0, 20)), ("test", range(20, 26))):
        columns = {
            "image": [{"bytes": encoded(i), "path": None} for i in rows],
            "label": [i % 2 for i in rows],
            "caption": ["tree"] * len(rows),
        }
        datasets.Dataset.from_dict(columns, features=features).to_parquet(tmp_path / f"{part}.parquet")
    files = {part: str(tmp_path / f"{part}.parquet") for part in ("train", "test")}
    dataset = datasets.load_dataset("parquet", data_files=files, cache_dir=str(tmp_path / "cache"))
    contents = packed("local parquet", None, [], NONE, lambda store: from_datasets(dataset, "local parquet", NONE, store))
    assert contents.fields == {"x": Image(3, 4, 4), "label": Category(2, ("ash", "oak"))}
    for part, rows in (("train", range(0, 20)), ("test", range(20, 26))):
        assert contents.parts[part]["x"][:, :, 0, 0].tolist() == [[i, 2 * i, 3 * i] for i in rows]
        assert contents.parts[part]["label"].tolist() == [i % 2 for i in rows]
    assert len(contents.sha256) == 64


def test_size_and_channels_of_arrays(tmp_path):
    x = np.zeros((20, 4, 4), np.uint8) + np.arange(20, dtype=np.uint8)[:, None, None]
    np.save(tmp_path / "x.npy", x)
    data = load(tmp_path / "x.npy", size=8, channels="rgb")
    assert data.fields == {"x": Image(3, 8, 8)}
    np.testing.assert_array_equal(stored(data), np.broadcast_to(np.arange(20)[:, None, None, None], (20, 3, 8, 8)))


def test_describe():
    account = describe(load("digits"))
    bunch = load_digits()
    parts = account["splits"].values()
    mean = sum(part["rows"] * part["fields"]["x"]["mean"] for part in parts) / 1797
    assert mean == pytest.approx(bunch.images.mean() / 16, rel=1e-6)
    assert [sum(part["fields"]["label"]["classes"][str(c)] for part in parts) for c in range(10)] == np.bincount(bunch.target).tolist()
    json.dumps(account)


@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1307), ("fashion-mnist", 0.2860)])
def test_real_idx(pofx_data, name, mean):
    """The customary 50k/10k/10k splits, and the mean over the 60,000 that everybody normalises with."""
    data = load(pofx_data / name)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 50000, "valid": 10000, "test": 10000}
    parts = describe(data)["splits"]
    assert (5 * parts["train"]["fields"]["x"]["mean"] + parts["valid"]["fields"]["x"]["mean"]) / 6 == pytest.approx(mean, abs=5e-5)
    assert sum(parts["test"]["fields"]["label"]["classes"].values()) == 10000


def test_real_binarized_mnist_by_name(pofx_data, monkeypatch):
    monkeypatch.setenv("POFX_DATA", str(pofx_data))
    data = load("binarized-mnist")
    assert data.fields == {"x": Binary(1, 28, 28)}
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 50000, "valid": 10000}
    assert data.record["spec"] == "binarized-mnist"


def test_real_tables(pofx_data):
    kinds = {"iris": (4, 3), "ionosphere": (34, 2), "abalone": (8, 3)}
    for name, (dims, classes) in kinds.items():
        fields = load(pofx_data / "uci" / f"{name}.csv").fields
        assert (fields["x"].dims, fields["label"].classes) == (dims, classes)
    assert load(pofx_data / "uci" / "wine.csv", label="14").fields == {"x": Vector(13), "label": Category(3, ("1", "2", "3"))}


def test_real_emoji(pofx_data):
    data = load(pofx_data / "emoji", label="style", size=16)
    assert data.fields == {"x": Image(3, 16, 16), "label": Category(3, ("emojione", "google", "twitter"))}
    assert sum(map(len, data.splits.values())) == 3856

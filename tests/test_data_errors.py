"""Bad input: one line that says what to write instead, and nothing half-written."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from pofx.data import load
from pofx.errors import UserError


def picture(path: Path, mode: str = "RGB", size: tuple[int, int] = (6, 6)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new(mode, size).save(path)


def two_sizes(path: Path) -> None:
    picture(path / "a.png", size=(5, 6))
    picture(path / "b.png", size=(7, 8))


def two_modes(path: Path) -> None:
    picture(path / "a.png", "L")
    picture(path / "b.png", "RGB")


def truncated(path: Path) -> None:
    picture(path / "a.png")
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)).save(path / "b.png")
    (path / "b.png").write_bytes((path / "b.png").read_bytes()[:-80])


def not_a_picture(path: Path) -> None:
    picture(path / "a.png")
    (path / "notes.txt").write_text("hello")


def text(content: str):
    return lambda path: path.write_text(content)


def binary(content: bytes):
    return lambda path: path.write_bytes(content)


def array(value: np.ndarray):
    return lambda path: np.save(path, value)


def arrays(**values: np.ndarray):
    return lambda path: np.savez(path, **values)


def cut_npy(path: Path) -> None:
    np.save(path, np.zeros((10, 10)))
    path.write_bytes(path.read_bytes()[:-8])


def cut_npz(path: Path) -> None:
    np.savez(path, x=np.zeros((10, 10)))
    path.write_bytes(path.read_bytes()[:-100])


def idx(content: bytes, ending: str = ""):
    def write(path: Path) -> None:
        path.mkdir()
        (path / f"train-images-idx3-ubyte{ending}").write_bytes(content)

    return write


IDX = b"\0\0\x08\3\0\0\0\4\0\0\0\2\0\0\0\2" + bytes(16)
NAN = np.where(np.arange(12).reshape(4, 3) == 7, np.nan, 1.0)

BAD = [  # file or folder, how it is made, options, what the error says
    ("empty", Path.mkdir, {}, "is empty"),
    ("one", lambda path: picture(path / "a.png"), {}, "too few rows to cut: 1 row gives"),
    ("sizes", two_sizes, {}, r"2 sizes, from 5x6 \(a\.png\) to 7x8 \(b\.png\).*--size 64"),
    ("modes", two_modes, {}, r"grey \(a\.png\) and some rgb \(b\.png\).*--channels grey or --channels rgb"),
    ("truncated", truncated, {}, r"1 file cannot be read \(b\.png: .*--skip-bad"),
    ("notes", not_a_picture, {}, r"1 file cannot be read \(notes\.txt: not a picture\)"),
    ("texts", lambda path: (path.mkdir(), (path / "a.txt").write_text("a")), {}, r"no pictures in it, only \.txt; name one file in it"),
    ("x.csv", text("a,b\n1,2\n3,\n"), {}, r"row 2 \(line 3\), column 'b' has no number"),
    ("x.csv", text("1,2\n3,nan\n"), {}, r"row 2 \(line 2\), column '2' has no number"),
    ("x.csv", text("a,b\n1,2\n3,x4\n5,6\n"), {}, r"row 2 \(line 3\), column 'b' is 'x4', not a number"),
    ("x.csv", text("a,b\n1,2\n3\n"), {}, "cannot be read as CSV"),
    ("x.csv", text("a,a\n1,2\n"), {}, "two columns are named 'a'"),
    ("x.csv", text("a,b\n"), {}, "no rows"),
    ("x.csv", text(""), {}, "x.csv"),
    ("x.csv", text("day,b\nmon,2\ntue,3\nwed,4\n"), {}, "column 'day' is string, not numbers"),
    ("x.csv", text("a,b\n1,2\n3,4\n"), {"label": "c"}, "no column 'c'; known: a, b"),
    ("x.csv", text("a,b\n1,2\n3,4.5\n"), {"label": "b"}, "'b' has fractions"),
    ("x.csv", text("a,b\n1,2\n3,4\n"), {"size": 8}, "no use for --size"),
    ("x.parquet", text("nothing"), {}, "cannot be read as Parquet"),
    ("x.jsonl", text('{"caption": "a cat"}'), {}, "line 1 names no picture"),
    ("x.jsonl", text("{\n"), {}, "line 1 is not JSON"),
    ("x.jsonl", binary(b'{"image": "\xff.png"}'), {}, r"not text in UTF-8: byte 11 \(line 1\) is 0xff"),
    ("x.jsonl", text('{"image": "gone.png"}'), {}, r"gone\.png: No such file"),
    ("x.npy", text("nothing"), {}, "not a .npy file that can be read"),
    ("x.npy", cut_npy, {}, "not a .npy file that can be read"),
    ("x.npy", array(np.array([{"a": 1}], dtype=object)), {}, "not a .npy file that can be read"),
    ("x.npy", array(np.zeros((0, 3))), {}, "no rows"),
    ("x.npy", array(NAN), {}, "nan at row 3, column 2"),
    ("x.npy", array(np.full((4, 2), 1e300)), {}, r"1e\+300 at row 1, column 1"),
    ("x.npy", array(np.zeros((4, 3, 8, 8))), {}, "pictures are uint8"),
    ("x.npy", array(np.zeros((4, 8), complex)), {}, "numbers of type complex128"),
    ("x.npz", text("nothing"), {}, "not a .npz file that can be read"),
    ("x.npz", cut_npz, {}, "not a .npz file that can be read"),
    ("x.npz", arrays(x=np.array([None])), {}, "not a .npz file that can be read"),
    ("x.npz", arrays(a=np.zeros(3), b=np.zeros(3)), {}, "no array named x, train or train_x; it has a, b"),
    ("x.npz", arrays(x=np.zeros(3), label=np.zeros(4, int)), {}, "3 rows of x and 4 of label"),
    ("x.npz", arrays(train=np.zeros((3, 2)), test=np.zeros((3, 4))), {}, "different shapes"),
    ("x.npz", arrays(train=np.zeros((3, 2)), test=np.zeros((3, 2))), {"test": 0.5}, "its own test split of 3 rows"),
    ("idx", idx(b"what is this"), {}, "not an idx file"),
    ("idx", idx(IDX[:-3]), {}, "29 bytes where its header says 32"),
    ("idx", idx(lzma.compress(IDX)[:-9], ".xz"), {}, r"train-images-idx3-ubyte\.xz is damaged"),
    ("idx", idx(gzip.compress(IDX)[:-9], ".gz"), {}, r"train-images-idx3-ubyte\.gz is damaged"),
    ("idx", idx(b"not compressed", ".xz"), {}, r"train-images-idx3-ubyte\.xz is damaged"),
    ("x.txt", text("hello"), {}, "x.txt: too few rows to cut: 1 row gives"),
    ("x.wav", binary(b"RIFF"), {}, "x.wav is sound, which no model"),
    ("x.docx", binary(b"PK\3\4\0\0"), {}, "of no form that pofx knows, nor text in UTF-8"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "make", "options", "message"), BAD, ids=[f"{name}-{message[:24]}" for name, _, _, message in BAD])
def test_bad_sources(tmp_path, monkeypatch, name, make, options, message):
    monkeypatch.setenv("POFX_CACHE", str(tmp_path / "cache"))
    make(tmp_path / name)
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path / name, **options)
    assert "\n" not in str(error.value)
    packs = tmp_path / "cache" / "packs"
    assert not packs.exists() or not [path for path in packs.iterdir() if path.is_dir() and not (path / "manifest.json").exists()]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be 1 or more, not 0"),
        ({"size": -8}, "size must be 1 or more, not -8"),
        ({"channels": "gray"}, "channels must be one of grey, rgb, not 'gray': did you mean grey"),
        ({"binarize": "dynamc"}, "did you mean dynamic"),
        ({"valid": 0.0}, "--valid must be above 0"),
        ({"valid": 1.0}, "1797 rows give 180 for test, 1797 for valid and 0 to train on"),
        ({"valid": 1.5}, "valid must be between 0 and 1"),
        ({"test": 0.95}, "and 0 to train on"),
        ({"test": 1e-6}, "0 for test"),
        ({"split_seed": -1}, "split_seed must be between 0 and"),
        ({"split_seed": 2**63}, "split_seed must be between 0 and"),
        ({"label": "digit"}, "no use for --label"),
        ({"columns": ("a",)}, "no use for --columns"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(UserError, match=message):
        load("digits", **options)


def test_binarising_what_is_no_picture(tmp_path):
    np.save(tmp_path / "bits.npy", np.eye(8, dtype=np.uint8))
    with pytest.raises(UserError, match="binary already: remove --binarize"):
        load(tmp_path / "bits.npy", binarize="dynamic")
    np.save(tmp_path / "numbers.npy", np.eye(8))
    with pytest.raises(UserError, match="only pictures are binarised"):
        load(tmp_path / "numbers.npy", binarize="threshold")


def test_unknown_names(tmp_path, monkeypatch):
    monkeypatch.delenv("POFX_DATA", raising=False)
    with pytest.raises(UserError, match=r"no data 'mnits'.*POFX_DATA is not set.*did you mean mnist"):
        load("mnits")
    with pytest.raises(UserError, match="no data ''"):
        load("")
    monkeypatch.setenv("POFX_DATA", str(tmp_path))
    (tmp_path / "flowers").mkdir()
    with pytest.raises(UserError, match="did you mean flowers"):
        load("flower")
    monkeypatch.setenv("POFX_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="nowhere, which is no folder"):
        load("mnist")


def test_hub_without_its_extra_or_network(monkeypatch):
    monkeypatch.delenv("POFX_DATA", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(UserError, match=r"put it in a folder \$POFX_DATA/cifar10, or download it: pip install 'pofx\[datasets\]'"):
        load("cifar10")
    offline = type("offline", (), {"load_dataset": staticmethod(lambda *_: (_ for _ in ()).throw(ConnectionError("no network")))})
    monkeypatch.setitem(__import__("sys").modules, "datasets", offline)
    with pytest.raises(UserError, match="'cifar10' could not be downloaded: no network"):
        load("cifar10")

"""Packs: written once, whole or not there, damage is found; long arrays never come into memory."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from pofx.data import cache, describe, load, reload
from pofx.data.sources import images
from pofx.errors import UserError


@pytest.fixture
def cached(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("POFX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "packs"


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(20):
        Pillow.new("L", (4, 4), i).save(folder / f"{i:02}.bmp")
    return folder


def packs(cached: Path) -> list[Path]:
    return [path for path in cached.iterdir() if path.is_dir()]


def test_packed_once_and_anew_when_the_source_changes(pictures, cached, monkeypatch):
    first = load(pictures)
    with monkeypatch.context() as patch:
        patch.setattr(cache, "write", lambda *_: pytest.fail("packed again"))
        assert load(pictures, split_seed=3).record["sha256"] == first.record["sha256"]
    Pillow.new("L", (4, 4), 200).save(pictures / "00.bmp")
    os.utime(pictures / "00.bmp", (0, 0))  # of the length that it had, so that its time alone tells
    assert load(pictures).record["sha256"] != first.record["sha256"]
    with pytest.raises(UserError, match="has changed"):
        reload(first.record)
    assert len(packs(cached)) == 2


def test_manifest_hashes_what_it_says(pictures, cached):
    record = load(pictures).record
    printed = subprocess.run(["sha256sum", *sorted(os.listdir(pictures))], cwd=pictures, capture_output=True, check=True).stdout
    assert record["sha256"] == hashlib.sha256(printed).hexdigest()
    (pack,) = packs(cached)
    manifest = json.loads((pack / "manifest.json").read_text())
    assert manifest["arrays"]["all.x.npy"]["sha256"] == hashlib.sha256((pack / "all.x.npy").read_bytes()).hexdigest()
    assert np.load(pack / "all.x.npy")[:, 0, 0, 0].tolist() == list(range(20))


def test_damage_is_found_and_mended(pictures, cached):
    whole = load(pictures).splits["train"].read(range(16))["x"]
    (pack,) = packs(cached)
    array = pack / "all.x.npy"
    for harm in (lambda: array.write_bytes(array.read_bytes()[:-1]), array.unlink, lambda: (pack / "manifest.json").write_text("{")):
        harm()
        data = load(pictures)
        assert "pack was damaged" in data.problems[0]
        assert (data.splits["train"].read(range(16))["x"] == whole).all()
        assert load(pictures).problems == []
    content = bytearray(array.read_bytes())
    content[-1] ^= 1  # a flipped bit leaves the length as it was; a full check sees it
    array.write_bytes(content)
    assert "all.x.npy has another SHA-256" in describe(load(pictures))["problems"][-1]


def test_killed_packing_leaves_nothing_and_the_next_one_works(pictures, cached, monkeypatch):
    pixels = images.pixels

    def dying(picture, *options):
        if picture.filename.endswith("15.bmp"):
            os.kill(os.getpid(), signal.SIGKILL)
        return pixels(picture, *options)

    monkeypatch.setattr(images, "pixels", dying)
    packer = multiprocessing.get_context("fork").Process(target=load, args=(pictures,))
    packer.start()
    packer.join()
    assert packer.exitcode == -signal.SIGKILL
    monkeypatch.undo()
    monkeypatch.setenv("POFX_CACHE", str(cached.parent))
    (left_over,) = packs(cached)
    assert left_over.name.endswith(".part")
    assert len(load(pictures).splits["train"]) == 16
    (pack,) = packs(cached)
    assert pack != left_over


def test_processes_that_start_together_pack_once(pictures, cached, tmp_path, monkeypatch):
    write = cache.write

    def slow(*options):
        with (tmp_path / "log").open("a") as log:
            log.write("packed\n")
        time.sleep(0.3)
        write(*options)

    monkeypatch.setattr(cache, "write", slow)
    together = [multiprocessing.get_context("fork").Process(target=load, args=(pictures,)) for _ in range(3)]
    for process in together:
        process.start()
    for process in together:
        process.join()
    assert [process.exitcode for process in together] == [0, 0, 0]
    assert (tmp_path / "log").read_text() == "packed\n"


def test_failed_packing_leaves_nothing(pictures, cached):
    (pictures / "bad.png").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"bad\.png: not a picture"):
        load(pictures)
    assert packs(cached) == []


def test_cache_that_cannot_be_written(pictures, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("POFX_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError, match="set POFX_CACHE"):
        load(pictures)
    monkeypatch.setenv("POFX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")), raising=False)
    with pytest.raises(UserError, match="No space left on device"):
        load(pictures)


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's account of a process's peak memory")
def test_two_gigabytes_are_never_read_whole(tmp_path):
    """The file is sparse, so that the disk need not hold it; the process's peak memory is watched while it is opened and read."""

    def peak() -> int:
        return int(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")))

    rows = 2**31 // 784
    array = np.lib.format.open_memmap(tmp_path / "long.npy", "w+", np.uint8, (rows, 28, 28))
    array[7] = 51
    del array
    Path("/proc/self/clear_refs").write_text("5")  # the peak is what is in use now
    before = peak()
    data = load(tmp_path / "long.npy")
    for number in range(100):
        assert data.splits["train"].batch(number, 100, seed=0)["x"].shape == (100, 1, 28, 28)
    assert (peak() - before) / 1024 < 200
    ((split, row),) = ((split, row) for split in data.splits.values() for row in np.flatnonzero(split.columns["x"].rows == 7))
    assert split.read([row])["x"].unique().tolist() == [np.float32(0.2)]
    assert "64 evenly spaced blocks" in data.record["sha256_of"]

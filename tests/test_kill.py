"""Stopped in any way, a run goes on to the same bytes: real processes, real signals, for each shape of plan."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch.testing import assert_close

from pofx.cli import main
from pofx.run import read_tensors

HERE = Path(__file__).parent
OFTEN = ["--steps", "30", "--batch-size", "200", "--seed", "5", "--log-every", "4", "--eval-every", "6", "--checkpoint-every", "7"]
GAMES = {  # on digits: 1437 examples, so that an epoch is 7.2 steps
    "one player": ["vae", "--latent", "2", "--hidden", "8", "--binarize", "dynamic", "--ema", "0.9"],
    "mean of the last": ["autoencoder", "--latent", "2", "--average", "3", "--schedule", "inverse_sqrt", "--warmup", "0.1"],
    "several players": [f"{HERE}/games/two_players.py:TwoPlayers", "--hidden", "8"],
    "several stages": ["stacked_denoising", "--hidden", "12", "8", "--dropout", "0.1", "--schedule", "cosine"],
}
POINTS = {"step:18": 14, "training.safetensors:4": 14, "model.safetensors:3": 7}  # where -> the step of the last whole state


def train(game, out, *more):
    return ["train", *GAMES[game], "--data", "digits", *OFTEN, "--out", str(out), *more]


@pytest.fixture(scope="module")
def stopped():
    """Runs the command line in a process of its own that is stopped at a point; all are forked from one."""
    server = subprocess.Popen([sys.executable, HERE / "stopped.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=HERE)

    def run(which, point, arguments):
        print(json.dumps([which.name, point, arguments]), file=server.stdin, flush=True)
        found = json.loads(server.stdout.readline())
        return subprocess.CompletedProcess(arguments, found["status"], found["out"], found["errors"])

    yield run
    server.communicate()


def resume(out, *more):
    return ["resume", str(out), "--trust", *more]


def same(found, expected):
    """Weights, state and metrics, byte for byte."""
    for file in ("model.safetensors", "metrics.jsonl", "state/training.safetensors"):
        if (found / file).read_bytes() != (expected / file).read_bytes():
            (ours, ours_record), (theirs, record) = read_tensors(found / file), read_tensors(expected / file)
            assert ours_record == record
            differ = [name for name in theirs if not torch.equal(ours[name], theirs[name])]
            raise AssertionError(f"{file} differs: {differ}")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """The run of each game that nobody stopped."""
    folder, found = tmp_path_factory.mktemp("unbroken"), {}

    def run(game):
        if game not in found:
            found[game] = folder / game
            assert main(train(game, found[game])) == 0
        return found[game]

    return run


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("game", GAMES)
def test_killed_and_resumed_is_never_stopped(stopped, game, point, unbroken, tmp_path):
    out = tmp_path / "run"
    assert stopped(signal.SIGKILL, point, train(game, out)).returncode == -signal.SIGKILL
    assert json.loads(read_tensors(out / "state" / "training.safetensors")[1]["pofx"])["step"] == POINTS[point]
    if point != "step:18":
        assert list(out.rglob("*.part")), "the process was not stopped while it wrote"
    assert main(resume(out)) == 0
    same(out, unbroken(game))
    assert not list(out.rglob("*.part"))


def test_killed_from_outside_and_resumed_by_a_process(unbroken, tmp_path):
    """Nothing is arranged here: a process is killed at whatever it is doing, twice."""
    out, more = tmp_path / "run", ["--steps", "1500", "--eval-every", "50", "--checkpoint-every", "10"]
    assert main(train("one player", tmp_path / "whole", *more)) == 0
    for arguments in (train("one player", out, *more), resume(out)):
        rows = out / "metrics.jsonl"
        before = rows.stat().st_size if rows.exists() else 0
        process = subprocess.Popen([sys.executable, "-m", "pofx", *arguments], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        while process.poll() is None and not (rows.exists() and rows.stat().st_size > before + 10_000):
            time.sleep(0.002)
        process.kill()
        assert process.wait() == -signal.SIGKILL, "it ended before it was killed"
    assert main(resume(out)) == 0
    same(out, tmp_path / "whole")


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(stopped, which, unbroken, tmp_path):
    out = tmp_path / "run"
    found = stopped(which, "step:17", train("several players", out))
    assert found.returncode == 130
    assert found.stderr.strip().splitlines()[-1] == (f"pofx: stopped at step 18 of 30; the state is saved: go on with `pofx resume {out}`")
    assert main(resume(out)) == 0
    same(out, unbroken("several players"))


def test_a_full_disk_loses_nothing(unbroken, tmp_path, capsys, monkeypatch):
    out, count, fsync = tmp_path / "run", [0], os.fsync

    def full(descriptor):
        count[0] += "training.safetensors" in os.readlink(f"/proc/self/fd/{descriptor}")
        if count[0] == 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full)
    assert main(train("one player", out)) == 2
    [line] = capsys.readouterr().err.strip().splitlines()[-1:]
    assert "No space left on device" in line
    assert str(out) in line
    assert "intact" in line
    monkeypatch.undo()
    assert main(resume(out)) == 0
    same(out, unbroken("one player"))


def test_files_that_may_not_grow_lose_nothing(stopped, unbroken, tmp_path, capsys):
    """The operating system itself refuses to write the state."""
    out = tmp_path / "run"
    assert stopped(signal.SIGKILL, "step:18", train("several stages", out)).returncode == -signal.SIGKILL
    before = {file: file.read_bytes() for file in (out / "config.json", out / "model.safetensors", out / "state" / "training.safetensors")}
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before[out / "state" / "training.safetensors"]) // 2, hard))
    try:
        assert main(resume(out)) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert "File too large" in capsys.readouterr().err
    assert before[out / "state" / "training.safetensors"] == (out / "state" / "training.safetensors").read_bytes()
    assert main(resume(out)) == 0
    same(out, unbroken("several stages"))


def test_a_read_only_run_folder_is_named(tmp_path, capsys, monkeypatch):
    out = tmp_path / "run"

    def refused(*arguments, **more):
        raise OSError(errno.EROFS, "Read-only file system", str(out))

    monkeypatch.setattr(Path, "mkdir", refused)
    assert main(train("one player", out)) == 2
    assert f"cannot write {out}: Read-only file system" in capsys.readouterr().err
    assert not out.exists()


def test_an_existing_run_is_left_as_it_is(unbroken, capsys):
    out = unbroken("one player")
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert main(train("one player", out)) == 2
    assert f"pofx resume {out}" in capsys.readouterr().err
    assert main(resume(out)) == 2
    assert "is done: 30 steps" in capsys.readouterr().err
    assert before == {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}


def test_metrics_that_were_shortened_are_named(stopped, tmp_path, capsys):
    out = tmp_path / "run"
    assert stopped(signal.SIGKILL, "step:18", train("one player", out)).returncode == -signal.SIGKILL
    rows = out / "metrics.jsonl"
    rows.write_text(rows.read_text().splitlines()[0] + "\n")
    assert main(resume(out)) == 2
    assert f"{rows} holds" in capsys.readouterr().err


@pytest.mark.parametrize("game", ["one player", "mean of the last"])
def test_two_processes_of_torchrun_are_one(game, unbroken, tmp_path):
    """Float32: gradients are summed in another order, and Adam divides by their size, so a few thousandths are left after 30 steps."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "pofx"]
    found = subprocess.run([*command, *train(game, out)], capture_output=True, text=True, timeout=280)
    assert found.returncode == 0, found.stderr
    expected = unbroken(game)
    ours, theirs = ([json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()] for folder in (out, expected))
    assert [row["step"] for row in ours] == [row["step"] for row in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for name, number in other.items():
            assert one[name] == (pytest.approx(number, rel=1e-4) if isinstance(number, float) else number)
    weights = read_tensors(expected / "model.safetensors")[0]
    for name, tensor in read_tensors(out / "model.safetensors")[0].items():
        assert_close(tensor, weights[name], rtol=5e-3, atol=1e-4)

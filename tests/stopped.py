"""The command line in processes that get a signal at a chosen point: python stopped.py

Each line of stdin is [SIGNAL, POINT, ["train", "vae", ...]] as JSON; a process is forked for it, so that torch is imported once, and its
status, output and errors come back as a line. POINT is `step:N` (in the middle of step N), or `FILE:N` (half of FILE is on the disk, the
N-th time that it is written).
"""

import json
import os
import signal
import sys
import tempfile
from typing import Any

from pofx.cli import main
from pofx.train.loop import Trainer


def stop_in_step(number: int, which: signal.Signals) -> None:
    move, sent = Trainer._move, []

    def stopping(self, *arguments):
        move(self, *arguments)
        if self.step == number and not sent:  # a second signal would stop it at once
            sent.append(which)
            os.kill(os.getpid(), which)

    Trainer._move = stopping  # type: ignore[method-assign]


def stop_while_writing(name: str, number: int, which: signal.Signals) -> None:
    fsync, seen = os.fsync, []

    def stopping(descriptor):
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        if name in os.path.basename(path):
            seen.append(path)
            if len(seen) == number:
                os.truncate(path, os.path.getsize(path) // 2)
                os.kill(os.getpid(), which)
        fsync(descriptor)

    os.fsync = stopping


def run(name: str, point: str, arguments: list[str]) -> int:
    """The command line, stopped at `point`: what the forked process does."""
    which, (what, number) = signal.Signals[name], point.split(":")
    if what == "step":
        stop_in_step(int(number), which)
    else:
        stop_while_writing(what, int(number), which)
    return main(arguments)


def forked(*asked: Any) -> dict[str, Any]:
    """How a process of its own ends that does `run`, and what it prints."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        process = os.fork()
        if not process:
            os.dup2(out.fileno(), 1)
            os.dup2(errors.fileno(), 2)
            status = 70  # of a traceback
            try:
                status = run(*asked)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        said = []
        for file in (out, errors):
            file.seek(0)
            said.append(file.read().decode())
    return {"status": status, "out": said[0], "errors": said[1]}


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        print(json.dumps(forked(*json.loads(line))), flush=True)

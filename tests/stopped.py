"""The command line in a process that gets a signal at a chosen point: python stopped.py SIGNAL POINT train vae ...

POINT is `step:N` (in the middle of step N), or `FILE:N` (half of FILE is on the disk, the N-th time that it is written).
"""

import os
import signal
import sys

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


if __name__ == "__main__":
    which, (what, number) = signal.Signals[sys.argv[1]], sys.argv[2].split(":")
    if what == "step":
        stop_in_step(int(number), which)
    else:
        stop_while_writing(what, int(number), which)
    sys.exit(main(sys.argv[3:]))

"""`python -m pofx`: the command line, for `torchrun --nproc-per-node 2 -m pofx train ...` too."""

from pofx.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

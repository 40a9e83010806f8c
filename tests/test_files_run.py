"""What runs in two everyday commands is of what they use, and of no other kind, source, measure or model."""

import pytest

from benchmarks.files_run import foreign, run


def test_training_and_sampling_run_nothing_of_what_they_do_not_use():
    files = run()
    assert {"kinds/image.py", "data/sources/images.py", "models/autoencoders/vae.py", "session.py", "train/loop.py"} <= set(files)
    assert foreign(files) == []
    assert "train/monitor.py" not in files, "what a game needs is built for a game alone"


@pytest.mark.parametrize(
    "file", ["kinds/tokens.py", "data/sources/text.py", "evaluate/parzen.py", "metrics/kid.py", "models/adversarial/gan.py"]
)
def test_what_is_of_something_else_is_named(file):
    assert foreign(["kinds/image.py", "kinds/kind.py", file]) == [file]

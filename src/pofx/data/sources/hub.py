"""Well-known data sets by name, from the Hugging Face hub through the `datasets` extra."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import PIL.Image

from pofx.data.cache import Store
from pofx.data.contents import PARTS, Contents
from pofx.data.sources.images import Picture, decode
from pofx.errors import UserError
from pofx.kinds import Category

KNOWN: dict[str, tuple[str, ...]] = {  # name -> what `datasets.load_dataset` is called with; rows of train come in random order
    "mnist": ("ylecun/mnist",),
    "fashion-mnist": ("zalando-datasets/fashion_mnist",),
    "cifar10": ("uoft-cs/cifar10",),
    "cifar100": ("uoft-cs/cifar100",),
    "svhn": ("ufldl-stanford/svhn", "cropped_digits"),
}


def from_hub(name: str, chosen: dict[str, Any], store: Store) -> Contents:
    """Downloads the data set `name` of `KNOWN`."""
    try:
        import datasets
    except ImportError:
        raise UserError(
            f"no data {name!r} here: put it in a folder $POFX_DATA/{name}, or download it: pip install 'pofx[datasets]'"
        ) from None
    try:
        dataset = datasets.load_dataset(*KNOWN[name])
    except Exception as error:  # of many libraries: no network, no room, no such data set
        raise UserError(f"{name!r} could not be downloaded: {' '.join(str(error).split())[:200]}; or put it in $POFX_DATA/{name}") from None
    contents = from_datasets(dataset, name, chosen, store)
    contents.shuffled = True
    return contents


def from_datasets(dataset: Any, source: str, chosen: dict[str, Any], store: Store) -> Contents:
    """The contents of a `datasets.DatasetDict` with a column of pictures.

    Args:
        dataset: split name -> rows; splits other than train, validation and test are passed over
        source: for messages
        chosen: size, channels, skip_bad; label, the column of the classes (by default the first one of classes)
        store: the pictures go into it
    """
    import datasets

    rows = {{"validation": "valid"}.get(name, name): part for name, part in dataset.items()}
    rows = {part: rows[part] for part in PARTS if part in rows}
    if "train" not in rows:
        raise UserError(f"{source} has {', '.join(dataset)} but no train split")
    features = rows["train"].features
    image = next((name for name, feature in features.items() if isinstance(feature, datasets.Image)), None)
    if image is None:
        raise UserError(f"{source} has no column of pictures; it has {', '.join(features)}")
    encoded = {part: some.cast_column(image, datasets.Image(decode=False)) for part, some in rows.items()}

    def opener(part: str, i: int) -> Any:
        return lambda: PIL.Image.open(io.BytesIO(encoded[part][i][image]["bytes"]))

    pictures = {part: [Picture(f"{part} row {i + 1}", opener(part, i)) for i in range(len(some))] for part, some in encoded.items()}
    kind, x, rows_kept, problems = decode(pictures, source, chosen, store)
    contents = Contents({"x": kind}, {part: {"x": x[part]} for part in rows}, problems=problems)
    for part in rows:
        contents.number(part, rows_kept[part])
    label = chosen["label"] or next((name for name, feature in features.items() if isinstance(feature, datasets.ClassLabel)), None)
    if label is not None:
        if label not in features:
            raise UserError(f"{source} has no column {label!r}; it has {', '.join(features)}")
        values = {part: np.array(some.with_format(None)[label])[rows_kept[part]] for part, some in rows.items()}
        if isinstance(features[label], datasets.ClassLabel):
            names = tuple(features[label].names)
            numbered = names == tuple(map(str, range(len(names))))
            kind = Category(len(names), () if numbered else names)
            contents.add("label", kind, {part: array.astype(np.int64) for part, array in values.items()})
        else:
            contents.add("label", *Category.of(values))
    return contents

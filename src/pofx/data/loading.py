"""`load(spec)`: from what a user names to splits of named, typed fields."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
from torch import Tensor

from pofx import renamed
from pofx.data.cache import packed
from pofx.data.columns import Binarize, Column, Data, Split
from pofx.data.contents import PARTS, Contents
from pofx.data.sequences import Ragged, Sequences
from pofx.data.sources import arrays, digit_reading, hub, images, pairs, series, synthetic, tables, text
from pofx.data.sources.series import TimeSeries
from pofx.data.splitting import Rows, cut, stratified_subset
from pofx.data.tokenizer import Tokenizer
from pofx.data.tokenizer import Tokens as TokenizerKind
from pofx.environment import data_root
from pofx.errors import Uneven, UserError, nearest
from pofx.kinds import Kind, Series, Tokens
from pofx.options import Fraction, Range, Seed, Size, check_value, options


@renamed.keywords(read="spell")
def load(
    spec: str | Path,
    uncut: bool = False,
    tokenizers: Mapping[str, Tokenizer] | None = None,
    lengths: Mapping[str, int] | None = None,
    *,
    binarize: Binarize = "none",
    size: Size | None = None,
    channels: Literal["grey", "rgb"] | None = None,
    label: str | None = None,
    columns: tuple[str, ...] | None = None,
    window: Size | None = None,
    stride: Size | None = None,
    stacked: Annotated[int, Range(2)] | None = None,
    source: str | None = None,
    target: str | None = None,
    tokens: TokenizerKind | None = None,
    vocabulary: Size | None = None,
    length: Size | None = None,
    shared: bool = False,
    spell: digit_reading.Language | None = None,
    valid: Fraction | None = None,
    test: Fraction | None = None,
    split_seed: Seed = 0,
    labelled: Size | None = None,
    skip_bad: bool = False,
) -> Data:
    """Named splits of named, typed fields, from a name or a path.

    | spec | fields |
    |---|---|
    | `digits` | built in: x Image(1, 8, 8), label |
    | `ring`, `grid` | built in: x Vector(2) around 8 or 25 modes, label is the mode's number |
    | a folder of pictures | x; class folders become label; train, valid and test folders become splits |
    | a folder of idx files (plain, gz, xz) | x, label |
    | a `.npy` or `.npz` file | x, and what else the .npz names |
    | a `.csv` or `.parquet` file | x Vector, label; with `window`, x Series |
    | a `.jsonl` file, or a folder with one | x, the pictures that its lines name; label |
    | a text file, or a folder with train.txt and perhaps valid.txt, test.txt | x Tokens, one example a line; with `window`, running text |
    | a text file with `target`, another one | x Tokens, a line of the target; source Tokens, the line of the same number |
    | a folder with train.de, train.en, val.de, ..., with `source` and `target` | likewise; with `target` alone, x is one language |
    | a `.tsv` file | likewise, its second column and its first |
    | a `.jsonl` file, or a folder with one, with `target` | x Tokens, the text under that key; source, that under another, or the picture |
    | `mnist`, `fashion-mnist`, ... | a folder or file of that name in $POFX_DATA, else from the Hugging Face hub |

    Args:
        spec: a name or a path
        uncut: leave a source without splits whole, as one split `all`: to ask a trained model about, not to train on
        tokenizers: field -> what makes its text into tokens, as a trained run has it, instead of a new one
        lengths: field -> most tokens of its text, likewise
        binarize: pictures to bits: threshold (1 where x >= 0.5), or dynamic (drawn with probability x, anew in every training
            batch; one fixed draw in evaluation)
        size: pictures are resized and cropped at the centre to this many pixels a side
        channels: pictures are made grey or rgb; as they are by default
        label: the column of a table, or the key of JSON lines, that is the class
        columns: the columns of a table that make x; all that are left by default
        window: rows of a table are steps in time, in order, and x is every so many of them in a row; a column of dates is no part of
            it. Likewise a text is running text, and x is every so many tokens of it in a row. Splits follow each other, and no window
            reaches from one into another
        stride: steps from the beginning of one window to that of the next, 1 by default; of a running text that is not trained on, or
            that a model counts in one pass, a window
        stacked: so many grey pictures, drawn at random from the rows of their split, make the channels of one; its label is the number
            that their labels spell: 3 digits have 1000 modes
        source: what is given, of pairs of text: the ending of the files (de for train.de), the column of a .tsv by its number, or the
            key of JSON lines
        target: what is to be made of it, the text x, likewise; or the file of the targets, where the data is the file of the sources
        tokens: what text is cut into: characters (by default), words (marks of punctuation are words too, and rare words are one that
            is unknown), or bpe, byte pairs, of which each is a frequent piece of text
        vocabulary: how many different words or byte pairs there are at most, 8000 by default
        length: most tokens of an example of text, its EOS counted; by default, of each field, twice as many as
            the longest to train on has
        shared: source and target have one vocabulary
        spell: labels of grey pictures of digits are spelled: x is the reading, character by character, and source is what is read. In
            english a picture, "seven"; in hangul 2 to 4 pictures in a row, drawn at random from those of their split, "삼백사십칠"
        valid: fraction of the rows (of train, where the source has splits) held out for validation; by default the source's own
            validation split, or as many rows as its test split has but at most a fifth, or a tenth
        test: fraction of the rows held out for testing; by default the source's own test split, or a tenth of a source without
            splits
        split_seed: draws the splits, the rows of stacked pictures, the rows that are labelled, and the fixed bits of dynamic binarisation
            in evaluation
        labelled: only so many rows of train are labelled, as many of each class: they are `x_labelled`, and `label` is theirs, in an order
            of their own beside x, which is all rows. In valid and test all are labelled, and x_labelled is x
        skip_bad: skip files, or rows of a table, that cannot be read; without it they are an error

    Raises:
        UserError: the data is unknown, damaged, or not what the options say

    Example:
        >>> data = load("digits", binarize="threshold")
        >>> data.fields["x"], {name: len(split) for name, split in data.splits.items()}
        (Binary(dims=(1, 8, 8)), {'train': 1437, 'valid': 180, 'test': 180})
    """
    chosen = {name: value for name, value in locals().items() if name not in ("spec", "uncut", "tokenizers", "lengths")}
    for option in OPTIONS:
        check_value(f"data: {option.name}", option.annotation, chosen[option.name])
    if stride is not None and window is None:
        raise UserError("--stride is for windows of a series or of text: pass --window too, or remove it")
    if target is not None and Path(target).suffix and (file := Path(target).expanduser()).is_file():
        chosen["target"] = str(file.resolve())
    spec, contents = find(str(spec), chosen | {"uncut": uncut, "tokenizers": dict(tokenizers or {}), "lengths": dict(lengths or {})})
    steps: dict[str, tuple[int, int]] = {}
    rows_of: Rows
    if window is not None and contents.tokenizers:
        rows_of = text.windows(contents, window, stride, spec)
    elif window is not None:
        whole = TimeSeries.of(contents, spec)
        steps = series.cut(len(whole.values), window, stride or 1, valid, test, spec, uncut=uncut)
        contents.fields = {"x": Series(window, len(whole.channels))}
        contents.parts = {"all": {"x": whole.windows(window)}}
        chosen["columns"] = contents.columns or None  # named, so that new data for a model are read alike
        rows_of = {name: ("all", np.arange(first, end - window + 1, stride or 1)) for name, (first, end) in steps.items()}
    reading = None if spell is None else digit_reading.DigitReading(contents, spell, spec, tokenizers or {})
    single: dict[str, Kind] = dict(contents.fields if reading is None else reading.fields)
    fields = single if stacked is None else synthetic.stacked_kinds(single, stacked, spec)
    x = fields["x"]
    levels = None if binarize == "none" else x.levels
    if binarize != "none":
        try:
            fields = fields | {"x": x.binarised()}
        except UserError as error:
            raise UserError(f"{spec} has x: {x}; {error}: remove --binarize") from None

    if labelled is not None:
        if stacked is not None:
            raise UserError("--labelled does not go with --stacked: remove one of them")
        if "label" not in fields or not fields["label"].classes:
            raise UserError(f"{spec} has {', '.join(fields)} and no labels: remove --labelled, or name the --label of a table")
        fields = {"x": fields["x"], "x_labelled": fields["x"], **{name: kind for name, kind in fields.items() if name != "x"}}

    if window is None:
        rows_of = {"all": ("all", None)}
        if not (uncut and "all" in contents.parts):
            sizes = {part: len(held["x"]) for part, held in contents.parts.items()}
            rows_of = cut(sizes, valid, test, split_seed, spec, shuffled=contents.shuffled, groups=contents.groups)
    splits = {}
    for name, (part, rows) in rows_of.items():
        held: dict[str, Column] = {} if reading is None else reading.columns(part, rows, name, split_seed)
        for field, kind in fields.items() if reading is None else ():
            of_x = field in ("x", "x_labelled")
            how: dict[str, Any] = {"binarize": binarize if of_x else "none", "key": (split_seed, name)}
            stored, levels_of = contents.parts[part]["x" if of_x else field], levels if of_x else None
            if isinstance(stored, Ragged):
                held[field] = Sequences(cast(Tokens, kind), stored, rows)
            elif stacked is not None:
                column = Column(single[field], stored, rows)
                held[field] = synthetic.Stacked(column, kind, seed=split_seed, split=name, channels=stacked, **how)
            elif labelled is not None and name == "train" and field in ("x_labelled", "label"):
                some = stratified_subset(contents.parts[part]["label"], rows, labelled, split_seed, spec)
                held[field] = Column(kind, stored, some, group="labelled", levels=levels_of, **how)
            else:
                held[field] = held["x"] if field == "x_labelled" else Column(kind, stored, rows, levels=levels_of, **how)
        one = stacked is None and spell != "hangul"  # a row is one of the source's, and not several
        names, source_rows = (contents.names.get(part, []), contents.rows.get(part)) if one else ([], None)
        if rows is not None:
            names = [names[i] for i in rows] if names else []
            source_rows = None if source_rows is None else source_rows[rows]
        splits[name] = Split(held, names, source_rows)
    if reading is not None:
        contents.tokenizers = {"x": reading.tokenizer}
    elif contents.tokenizers:
        chosen |= {"tokens": contents.tokenizers["x"].kind, "length": max(text_lengths(fields).values(), default=None)}
        chosen = text.resolved(chosen)
    record = {
        "spec": spec,
        **{name: value for name, value in chosen.items() if value or name not in WHERE_SAID},
        "fields": {name: kind.to_json() for name, kind in fields.items()},
        "counts": {name: len(split) for name, split in splits.items()},
        "sha256": contents.sha256,
        "sha256_of": contents.sha256_of,
        **({"steps": steps} if steps else {}),
        **({"groups": max(contents.groups) + 1} if contents.groups else {}),
        **({"tokenizers": {name: tokenizer.sha256 for name, tokenizer in contents.tokenizers.items()}} if contents.tokenizers else {}),
    }
    return Data(fields, splits, record, contents.problems, contents.pack, contents.tokenizers, contents.begins)


OPTIONS = options(load, load.__doc__)
WHERE_SAID = ("window", "stride", "stacked", "labelled", "spell", "source", "target", *text.OPTIONS)  # recorded only if they were chosen
SOURCE_OPTIONS = (
    "size",
    "channels",
    "skip_bad",
    "label",
    "columns",
    "window",
    "source",
    "target",
    *text.OPTIONS,
)  # what the source is read with, before it is split


def text_lengths(fields: Mapping[str, Kind]) -> dict[str, int]:
    """Most tokens of each field of text; of running text there are none.

    Example:
        >>> from pofx.kinds import Category
        >>> text_lengths({"x": Tokens(9, 5), "source": Tokens(9, 400), "label": Category(2)})
        {'x': 5, 'source': 400}
    """
    return {name: kind.size for name, kind in fields.items() if kind.ragged}


def reload(record: dict[str, Any], tokenizers: Mapping[str, Tokenizer] | None = None) -> Data:
    """The data that `record` (of `Data.record`) was written about; a UserError if they have changed since.

    Args:
        record: of the data
        tokenizers: of their text, where they were kept; otherwise they are learned again
    """
    record = renamed.data(record)
    options_of = {option.name: record[option.name] for option in OPTIONS if option.name in record}
    fields = {name: Kind.from_json(kind) for name, kind in record["fields"].items()}
    data = load(record["spec"], tokenizers=tokenizers, lengths=text_lengths(fields), **options_of)
    if data.record["sha256"] != record["sha256"]:
        raise UserError(f"{record['spec']} has changed: SHA-256 {data.record['sha256'][:12]}, but the record says {record['sha256'][:12]}")
    if data.record.get("groups") != record.get("groups"):
        raise UserError(f"{record['spec']} was cut row by row, and now pictures of one group stay in one split: train anew")
    if data.record.get("tokenizers") != record.get("tokenizers"):
        raise UserError(
            f"{record['spec']}: its tokenizers are not those of the record; give them, as the run folder has them in tokenizers/"
        )
    return data


def load_series(spec: str | Path, *, columns: tuple[str, ...] | None = None) -> TimeSeries:
    """The whole of a time series: a table whose rows are steps in time, as `load` with a `window` reads it, before it is cut.

    Args:
        spec: a name or a path
        columns: the columns that make x; all but that of the time by default

    Raises:
        UserError: the data is unknown or damaged, a number is missing, or the rows are not in the order of their dates
    """
    own: dict[str, Any] = {"columns": columns, "window": 1, "uncut": True, "tokenizers": {}, "lengths": {}}
    chosen = {option.name: option.default for option in OPTIONS} | own
    name, contents = find(str(spec), chosen)
    return TimeSeries.of(contents, name)


def load_pictures(spec: str | Path, like: Kind) -> tuple[Tensor, list[str], list[str]]:
    """All pictures of a source, to be given to a model that was made for pictures of another kind.

    Args:
        spec: a name or a path; a picture too
        like: what they are brought to: its height and width, where they have the same shape, and its colour

    Returns:
        the pictures, float32 (n, *like.shape), from 0 to 1; what each is called: its file, or its number; what was done to them

    Raises:
        UserError: the data is unknown or damaged, or has no pictures, or some of another shape
    """
    channels, height, width = like.shape
    chosen = {option.name: option.default for option in OPTIONS} | {"uncut": True, "tokenizers": {}}
    try:
        _, contents = find(str(spec), chosen)
        found = contents.fields["x"]
        try:
            found.at((width, height))
        except UserError:
            raise UserError(f"{spec} has {found}, and pictures are wanted") from None
        even = found.shape == like.shape
    except Uneven:
        even = False
    if not even:
        colour = "grey" if channels == 1 else "rgb"
        _, contents = find(str(spec), chosen | {"size": (width, height), "channels": colour})
    parts = [Column(contents.fields["x"], held["x"]) for held in contents.parts.values()]
    x = torch.cat([column.numbers(torch.arange(len(column))) for column in parts])
    names = [each for part in contents.parts for each in contents.names.get(part, [])]
    return x, names or list(map(str, range(len(x)))), contents.problems


def find(spec: str, chosen: dict[str, Any]) -> tuple[str, Contents]:
    """The contents that `spec` names, and the spec as it is recorded: a name, or a whole path."""
    if spec == "digits":
        found = arrays.digits()
        return spec, images.fit(found, spec, take(chosen, spec, "size", "channels"), lambda part, name, shape, kind: np.empty(shape, kind))
    if spec in synthetic.KNOWN:
        take(chosen, spec)
        return spec, synthetic.KNOWN[spec].contents()
    path = Path(spec).expanduser()
    if spec and path.exists():
        return str(path.resolve()), read(path.resolve(), chosen)
    root = data_root()
    if root and not root.is_dir():
        raise UserError(f"no data {spec!r}, and $POFX_DATA is {root}, which is no folder: set it to the folder your data sets are in")
    if root and spec and (root / spec).exists():
        return spec, read((root / spec).resolve(), chosen)
    if spec in hub.KNOWN:
        chosen = take(chosen, spec, "size", "channels", "skip_bad", "label")
        return spec, packed(spec, None, [], chosen, lambda store: hub.from_hub(spec, chosen, store))
    known = {"digits", *synthetic.KNOWN, *hub.KNOWN, *(os.listdir(root) if root else ())}
    where = "a file, a folder, nor a name" + (" in $POFX_DATA" if root else " that pofx knows ($POFX_DATA is not set)")
    raise UserError(f"no data {spec!r}: neither {where}; {nearest(spec, known)}")


def read(path: Path, chosen: dict[str, Any]) -> Contents:
    """The contents of a file or folder, by its name and what is in it."""
    spec = str(path)
    if path.is_dir():
        return read_folder(path, chosen)
    match path.suffix.lower():
        case ".npy":
            chosen = take(chosen, spec, "size", "channels", "window")
            chosen.pop("window")  # of the array as it is
            if not any(chosen.values()):
                return arrays.npy(path)
            return packed(spec, path, [path], chosen, lambda store: images.fit(arrays.npy(path), spec, chosen, store.create))
        case ".npz":
            chosen = take(chosen, spec, "size", "channels")
            return packed(spec, path, [path], chosen, lambda store: images.fit(arrays.npz(path), spec, chosen, store.create))
        case ".csv":
            chosen = as_table(take(chosen, spec, "label", "columns", "skip_bad", "window"), spec)
            return packed(spec, path, [path], chosen, lambda store: tables.read_csv(path, chosen))
        case ".parquet":
            chosen = as_table(take(chosen, spec, "size", "channels", "skip_bad", "label", "columns", "window"), spec)
            return packed(spec, path, [path], chosen, lambda store: tables.read_parquet(path, chosen, store))
        case ".jsonl" if chosen["source"] or chosen["target"]:
            return read_json_lines(path, path.parent, chosen)
        case ".jsonl":
            chosen = take(chosen, spec, "size", "channels", "skip_bad", "label")
            pictures = sorted({path.parent / line["image"] for _, line in images.read_lines(path)})
            files = [path, *(picture for picture in pictures if picture.is_file())]
            return packed(spec, path.parent, files, chosen, lambda store: images.json_lines(path, chosen, store))
        case ".tsv":
            chosen = as_text(chosen, spec, "source", "target")
            return pairs.packed_text(spec, path, [path], chosen, lambda _: pairs.two_columns(path, chosen["source"], chosen["target"]))
        case ".wav" | ".flac":
            raise UserError(f"{path.name} is sound, which no model of pofx takes yet; it reads {FORMS}")
    if chosen["uncut"] and images.is_picture(path):
        chosen = take(chosen, spec, "size", "channels", "skip_bad")
        return packed(spec, path, [path], chosen, lambda store: images.folder_of_pictures(path.parent, [path], chosen, store))
    if path.suffix != ".txt" and not text.is_text(path):
        raise UserError(f"{path.name} is of no form that pofx knows, nor text in UTF-8; it reads {FORMS}")
    if chosen["source"]:
        raise UserError(f"{spec} is one side of pairs: name the file of the sources with --data and that of the targets with --target")
    if chosen["target"] is None:
        return read_text({"all": path}, path, as_text(chosen, spec, "window"))
    target = Path(chosen["target"]).expanduser()
    if not target.is_file():
        raise UserError(f"{spec} is a file of sources, and --target {target} is none of targets: name that file")
    chosen, target = as_text(chosen, spec, "target"), target.resolve()
    root = Path(os.path.commonpath([path.parent, target.parent]))
    return pairs.packed_text(spec, root, [path, target], chosen, lambda _: pairs.aligned({"all": (path, target)}))


FORMS = "folders of pictures or of idx files, .npy, .npz, .csv, .parquet, .jsonl, .tsv and text"


def read_text(files: dict[str, Path], root: Path, chosen: dict[str, Any]) -> Contents:
    """The text of one file, or of one a part: an example a line, or running text where there is a window."""
    listed, window = list(files.values()), chosen.pop("window")
    if window is None:
        return pairs.packed_text(str(root), root, listed, chosen, lambda _: text.one_a_line(files))
    if chosen["length"]:
        raise UserError(f"{root}: examples of running text are --window {window} tokens long: remove --length")
    chosen["running"] = "with begins"  # it is the same for every window, so it is packed once; older packs do not say where parts begin
    return pairs.packed_text(str(root), root, listed, chosen, lambda _: text.running(files, str(root), chosen))


def as_text(chosen: dict[str, Any], spec: str, *names: str) -> dict[str, Any]:
    """The options that text is read with, and those `names`; and how it is cut, for a tokenizer is learned from what is trained on."""
    taken = take(chosen, spec, *text.OPTIONS, *names)
    if taken["vocabulary"] and (taken["tokens"] or "characters") == "characters" and not chosen["tokenizers"]:
        raise UserError(f"{spec}: --vocabulary is of words or byte pairs: pass --tokens words or --tokens bpe, or remove it")
    for tokenizer in chosen["tokenizers"].values():
        taken["tokens"] = tokenizer.kind
    return text.resolved(taken) | {name: chosen[name] for name in ("valid", "test", "split_seed", "uncut", "tokenizers", "lengths")}


def read_folder(path: Path, chosen: dict[str, Any]) -> Contents:
    spec = str(path)
    files = images.files_below(path)
    if not files:
        raise UserError(f"{path} is empty: put pictures in it")
    if any("-ubyte" in file.name for file in files) and (
        idx := [file for parts in arrays.idx_files(path).values() for file in parts.values()]
    ):
        chosen = take(chosen, spec, "size", "channels")
        return packed(spec, path, sorted(idx), chosen, lambda store: images.fit(arrays.idx_folder(path), spec, chosen, store.create))
    if len(files) == 1 and files[0].suffix.lower() in (".npy", ".npz", ".csv", ".parquet"):
        return read(files[0], chosen)
    lines = [file for file in files if file.suffix == ".jsonl" and file.parent == path]
    if len(lines) == 1:
        return read(lines[0], chosen)
    pictures = any(images.is_picture(file) for file in files)
    if pictures and chosen["target"] and (captions := path.parent / "captions.jsonl").is_file():
        return read_json_lines(captions, path, chosen)
    endings = {} if pictures else text.parted([file for file in files if file.parent == path])
    if endings:
        return read_parted(path, endings, chosen)
    if not pictures:
        forms = sorted({file.suffix or file.name for file in files})
        raise UserError(f"{path} has no pictures in it, only {', '.join(forms[:5])}; name one file in it, such as {files[0]}")
    chosen = take(chosen, spec, "size", "channels", "skip_bad")
    return packed(spec, path, files, chosen, lambda store: images.folder_of_pictures(path, files, chosen, store))


def read_json_lines(path: Path, folder: Path, chosen: dict[str, Any]) -> Contents:
    """Texts, pairs of texts, or captions of the pictures below `folder`, from a .jsonl file."""
    chosen = as_text(chosen, str(folder), "source", "target", "size", "channels", "skip_bad")
    files = [path, *pairs.pictures_named(path, folder, chosen["source"])]
    return pairs.packed_text(str(folder), path.parent, files, chosen, lambda store: pairs.json_lines(path, folder, chosen, store))


def read_parted(path: Path, endings: dict[str, dict[str, Path]], chosen: dict[str, Any]) -> Contents:
    """Text in a folder that has a file for each part, train.txt or train.de and train.en: one language, or two of them paired."""
    source, target = chosen["source"], chosen["target"]
    for flag, ending in (("--source", source), ("--target", target)):
        if ending and ending not in endings:
            raise UserError(f"{path} has no train.{ending} for {flag} {ending}: {nearest(ending, endings)}")
    if target is None:
        if source or len(endings) > 1:
            have = ", ".join(f"train.{ending}" for ending in endings)
            raise UserError(f"{path} has {have}: name which are paired, as in --source de --target en, or which is x with --target alone")
        target = next(iter(endings))
    if source is None:
        return read_text(endings[target], path, as_text(chosen, str(path), "target", "window"))
    chosen = as_text(chosen, str(path), "source", "target")
    if endings[source].keys() != endings[target].keys():
        odd = sorted(endings[source].keys() ^ endings[target].keys())[0]
        has, lacks = (source, target) if odd in endings[source] else (target, source)
        raise UserError(f"{path} has {endings[has][odd].name} and no such file for {lacks}: add it, or remove the other")
    files = {part: (endings[source][part], endings[target][part]) for part in PARTS if part in endings[source]}
    return pairs.packed_text(str(path), path, [file for pair in files.values() for file in pair], chosen, lambda _: pairs.aligned(files))


def as_table(chosen: dict[str, Any], spec: str) -> dict[str, Any]:
    """The options that a table is read with. It is the same for every window, so it is packed once."""
    window = chosen.pop("window")
    if window is None:
        return chosen
    if chosen.pop("label"):
        raise UserError(f"{spec}: --window makes one series of the table, which has no classes: remove --label")
    if chosen.pop("skip_bad"):
        raise UserError(f"{spec}: a row left out would be a gap in the series: remove --skip-bad, and fill in what is missing")
    return chosen | {"label": None, "skip_bad": False, "series": True}


def take(chosen: dict[str, Any], spec: str, *names: str) -> dict[str, Any]:
    """Those options that a source of this form has; a UserError if another of `SOURCE_OPTIONS` was chosen."""
    for name in SOURCE_OPTIONS:
        if chosen[name] and name not in names:
            raise UserError(f"{spec} has no use for --{name.replace('_', '-')}: remove it")
    return {name: chosen[name] for name in names}

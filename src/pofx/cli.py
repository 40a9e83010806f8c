"""The command line: flags are read off the signatures of `pofx.commands`, of the engine, of the data loader and of the model.

Imports neither torch nor numpy: the verb that needs them imports them. Flags are parsed by argparse and not by a package that reads
signatures, such as tyro: the records in `options.py` already are the flags, every error must be one line with status 2, and help must
import little.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any, Literal, NoReturn, get_args, get_origin

from pofx import __version__, renamed
from pofx.commands import VERBS, Verb
from pofx.commands.flags import Flags
from pofx.environment import first_replica
from pofx.errors import Diverged, Interrupted, UserError, nearest
from pofx.options import REQUIRED, HyperParameter, argument_help, check_value, from_text, limits

_JSON = HyperParameter("json", bool, False, "print the report as one JSON document; progress and notes go to stderr")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and give its exit status: 0 done, 2 the user must change something, 130 interrupted, 1 training diverged."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _note  # type: ignore[assignment]
            return _run(words)
    except UserError as error:
        return _stop(2, str(error))
    except Diverged as error:
        return _stop(1, str(error))
    except Interrupted as error:
        return _stop(130, str(error))
    except OSError as error:  # a disk that is full, a file that may not be read
        if isinstance(error, BrokenPipeError):  # `pofx models | head`: whoever read has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 141
        return _stop(2, f"{error.filename or 'the system says'}: {error.strerror or error}")
    except KeyboardInterrupt:
        return _stop(130, "interrupted")


def _note(message: Warning | str, category: type[Warning], *place: Any) -> None:
    """A warning as one line, for who sees a terminal and no code."""
    print(f"note: {' '.join(str(message).split())}", file=sys.stderr)


def _stop(status: int, message: str) -> int:
    if first_replica():  # with torchrun, one replica speaks for all
        print(f"pofx: {' '.join(message.split())}", file=sys.stderr)
    return status


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if words[0] == "--version":
        print(f"pofx {__version__}")
        return 0
    name, rest = words[0], words[1:]
    if name not in VERBS:
        if name.startswith("-"):
            raise UserError(f"{name} comes before the verb: write pofx VERB ... {name}")
        raise UserError(f"pofx has no verb {name!r}: {nearest(name, VERBS)}")
    verb = VERBS[name]
    read = _read(name, verb, rest)
    if read is None:
        return 0
    arguments, values = read
    as_json = values.pop("json", False)
    if as_json and "stream" in verb.own().options:
        values["stream"] = False
    report = verb(*arguments, **values)
    if first_replica():
        if as_json:
            print(json.dumps(_finite(report), indent=2, ensure_ascii=False))
        elif isinstance(report, dict) and verb.printed_texts in report and "out" not in report:
            if "streamed" not in report:
                from pofx.commands.files import joined

                print(joined(report[verb.printed_texts]))
            if "note" in report:
                print(f"note: {report['note']}", file=sys.stderr)
        elif not (isinstance(report, dict) and "streamed" in report):
            from pofx.commands.show import show

            show(report, verb.json_only)
    return 0


def _read(name: str, verb: Verb, rest: list[str]) -> tuple[list[Any], dict[str, Any]] | None:
    """The arguments that the words after a verb spell, by position and by name; None when they ask for help, which is printed."""
    positional = _positional(verb)
    asked_help = "-h" in rest or "--help" in rest

    # The flags of a model are known once the model is: what stands before them is read first
    first = vars(_parser(name, verb, verb.own()).parse_known_intermixed_args([word for word in rest if word not in ("-h", "--help")])[0])
    given = {key: _value(option, first[key]) for key, option in positional.items() if first[key] not in (None, [])}
    settled = {"trust": bool(first.get("trust"))} if "trust" in verb.own().options else {}
    complete = len(given) == len(positional)
    if not complete and not asked_help:
        missing = next(key for key in positional if key not in given)
        raise UserError(f"pofx {name} needs {missing.upper()}: {positional[missing].help}; pofx {name} --help says more")
    groups = verb.known(**given, **settled) if verb.flags else [verb.own()]
    parser = _parser(name, verb, *groups)
    if asked_help:
        if verb.flags and not complete:
            parser.epilog = f"With {' and '.join(key.upper() for key in positional)} named, what depends on it is shown too."
        parser.print_help()
        return None

    flags = {flag: option for group in groups for flag, option in group.options.items()}
    known = [f"--{flag.replace('_', '-')}" for flag in flags] + ["--json"]
    rest = [renamed.flag(word, known) for word in rest]
    for word in rest:
        flag = word.partition("=")[0]
        if flag.startswith("--") and flag not in known and flag.replace("--no-", "--") not in known:
            raise UserError(f"pofx {name} has no flag {flag}: {nearest(flag, known)}")
    found, extra = parser.parse_known_intermixed_args(rest)
    if extra:
        raise UserError(f"pofx {name} does not know what to do with {' '.join(extra)!r}; pofx {name} --help shows what can be written")
    values = {key: value for key, value in vars(found).items() if value is not None}
    words = [values.pop(key) for key in positional]
    arguments = [value for item in words for value in (item if isinstance(item, list) else [item])]
    for key in values.keys() & flags.keys():
        values[key] = _value(flags[key], values[key])
        check_value(f"--{key.replace('_', '-')}", flags[key].annotation, values[key])
    for key, option in flags.items():
        if option.default is REQUIRED and key not in values:
            raise UserError(f"pofx {name} needs --{key.replace('_', '-')}: {option.help}")
    return arguments, values


def _overview() -> str:
    lines = [f"  {name:<12} {(inspect.getdoc(verb.function) or '').splitlines()[0]}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            "usage: pofx VERB ... [--flag value ...]",
            "",
            "Learn a distribution p(x) from your own data, then use it.",
            "",
            *lines,
            "",
            "pofx VERB --help shows every flag of a verb; pofx train MODEL --help those of a model. A first try:",
            "  pofx train vae --data digits --out runs/first",
            "  pofx sample runs/first --n 64 --out samples.png",
        ]
    )


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        if match := re.match(r"argument (--[\w-]+): expected (?:at least )?one argument", message):
            message = f"{match[1]} needs a value after it"
        raise UserError(f"{message} ({self.prog} --help shows what can be written)")


def _parser(name: str, verb: Verb, *groups: Flags) -> _Parser:
    doc, positional = inspect.getdoc(verb.function) or "", _positional(verb)
    parser = _Parser(
        prog=f"pofx {name}",
        usage=" ".join(["pofx", name, *(f"{key.upper()} ..." if o.annotation is tuple else key.upper() for key, o in positional.items())])
        + " [--flag value ...]",
        description=doc.partition("\n\nArgs:")[0].partition("\n\nExample:")[0].replace("%", "%%"),
        formatter_class=lambda prog: argparse.RawDescriptionHelpFormatter(prog, max_help_position=32),
        allow_abbrev=False,
        argument_default=None,
    )
    for key, option in positional.items():
        several = option.annotation is tuple
        parser.add_argument(key, metavar=key.upper(), nargs="*" if several else "?", help=option.help.replace("%", "%%"))
    for group in groups:
        section = parser.add_argument_group(group.title) if group.options else None
        for flag, option in group.options.items():
            assert section is not None
            _add(section, flag, option)
    _add(parser, "json", _JSON)
    return parser


def _add(section: Any, flag: str, option: HyperParameter) -> None:
    written = f"--{flag.replace('_', '-')}"
    if option.annotation is bool:
        form: dict[str, Any] = {"action": "store_true" if flag in ("json", "trust") else argparse.BooleanOptionalAction, "default": None}
        notes = ["on by default"] if option.default else []
    else:
        form = {"metavar": _metavar(option.annotation), "nargs": "+" if _takes_many(option.annotation) else None}
        default = " ".join(map(str, option.default)) if isinstance(option.default, tuple) else option.default
        notes = [limits(option.annotation), "required" if default is REQUIRED else "" if default is None else f"default {default}"]
    note = "; ".join(filter(None, notes))
    section.add_argument(written, dest=flag, help=(f"{option.help} ({note})" if note else option.help).replace("%", "%%"), **form)


def _metavar(annotation: Any) -> str:
    """What stands for the value in help: N a whole number, X a number, the words of a choice."""
    origin, args = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return "|".join(map(str, args))
    if args:  # Annotated, a union with None, a tuple
        return _metavar(args[0])
    return {int: "N", float: "X"}.get(annotation, "TEXT")


def _takes_many(annotation: Any) -> bool:
    return get_origin(annotation) is tuple or any(_takes_many(part) for part in get_args(annotation))


def _positional(verb: Verb) -> dict[str, HyperParameter]:
    helps = argument_help(verb.function.__doc__)
    return {
        name: HyperParameter(name, tuple if p.kind is inspect.Parameter.VAR_POSITIONAL else str, REQUIRED, helps.get(name, ""))
        for name, p in inspect.signature(verb.function).parameters.items()
        if p.kind in (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    }


def _value(option: HyperParameter, text: Any) -> Any:
    if not isinstance(text, str):
        if not (isinstance(text, list) and _takes_many(option.annotation)):
            return text
        text = ",".join(text)
    return from_text(option.annotation, text)


def _finite(value: Any) -> Any:
    """`value` with numbers that JSON cannot say (NaN, infinities) as null."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""The file of `--config`: every option of the command line as TOML, checked before it is believed."""

import os.path
import re
import tomllib
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from enum import Enum
from typing import Any

#: What the command line would have given: a text, whether a flag is there, or the texts of a repeatable option.
Value = str | bool | tuple[str, ...]

#: They are about the file, or about the command line.
COMMAND_LINE_ONLY = frozenset({"config", "check-config", "help", "version"})

_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)\Z")


class BadConfig(ValueError):
    """The file cannot be used; the message is one line and names the file, the key, and the way out."""


class Kind(Enum):
    """What an option's value is in the file; the text says it to whoever wrote another."""

    TEXT = 'a text: KEY = "…"'
    NUMBER = "a number: KEY = 30"
    NUMBER_OR_AUTO = 'a number, or "auto": KEY = 2'
    FLAG = "true or false: KEY = true"
    LIST = 'a list: KEY = ["…", "…"]'
    PATH = 'a path: KEY = "/…"'
    PLACE = 'a URL or a path: KEY = "https://…"'

    def written(self, key: str) -> str:
        """Return how a value is written."""
        return self.value.replace("KEY", key)


def read_config(data: bytes, known: Mapping[str, Kind], file: str) -> dict[str, Value]:
    """Read the file's values, in the form in which the command line gives them.

    Relative paths are taken from the file's own directory: they mean the same wherever the endpoint is started.

    :param data: what is in the file.
    :param known: the options, without dashes at the front.
    :param file: the file's absolute path.
    :raise BadConfig: if the file is no TOML, has a key that is no option, or a value of another kind.
    """
    text = _text(data, file)
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadConfig(_syntax(str(error), text, file)) from error
    values: dict[str, Value] = {}
    for key, value in found.items():
        where = f"{file}:{_line(text, key)}"
        if key not in known:
            raise BadConfig(f"{where}: {_unknown(key, known)}")
        values[key] = _value(key, value, known[key], where, os.path.dirname(file))
    return values


def read_config_file(file: str, known: Mapping[str, Kind]) -> dict[str, Value]:
    """Read a file; see :func:`read_config`."""
    try:
        with open(file, "rb") as opened:
            data = opened.read()
    except OSError as error:
        raise BadConfig(f"--config {file}: it cannot be read: {error.strerror}") from error
    return read_config(data, known, file)


def known_options(
    rows: Iterable[list[Any]],
    flags: Iterable[list[Any]],
    *,
    lists: Iterable[str] = (),
    numbers: Iterable[str] = (),
    numbers_or_auto: Iterable[str] = (),
    paths: Iterable[str] = (),
    places: Iterable[str] = (),
) -> dict[str, Kind]:
    """Return what kind each option is of: of a text, unless its default is a number or it is named here.

    :param rows: ``optParameters``, with defaults.
    :param flags: ``optFlags``.
    """
    kinds = {row[0]: Kind.NUMBER if _is_number(row[2]) else Kind.TEXT for row in rows}
    kinds |= {row[0]: Kind.FLAG for row in flags}
    for names, kind in (
        (lists, Kind.LIST),
        (numbers, Kind.NUMBER),
        (numbers_or_auto, Kind.NUMBER_OR_AUTO),
        (paths, Kind.PATH),
        (places, Kind.PLACE),
    ):
        kinds |= dict.fromkeys(names, kind)
    return {name: kind for name, kind in kinds.items() if name not in COMMAND_LINE_ONLY}


def merged(defaults: Mapping[str, Any], configured: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return each option's value: the command line's, else the file's, else the default.

    :param given: the command line's; ``None``, no flag and an empty list say that an option was not given.
    """
    said = {name: value for name, value in given.items() if value is not None and value != 0 and value != []}
    values = {**given, **defaults, **configured, **said}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def split_defaults(rows: Iterable[list[Any]]) -> tuple[list[list[Any]], dict[str, Any]]:
    """Take the defaults out of ``optParameters``, so that it shows which options were given.

    :return: the rows without defaults, with what they are in the help, and the defaults.
    """
    bare, defaults = [], {}
    for name, short, default, text, *rest in rows:
        if default is not None:
            defaults[name] = default
            text = f"{text} [default: {default}]"
        bare.append([name, short, None, text, *rest])
    return bare, defaults


def absolute(values: Mapping[str, Any], known: Mapping[str, Kind]) -> dict[str, Any]:
    """Return the command line's values with paths that mean the same when the program has changed its directory."""
    made = dict(values)
    for name, value in values.items():
        kind = known.get(name)
        if not isinstance(value, str) or (kind is Kind.PATH and value == "-"):
            continue
        # What is neither a URL nor a directory is refused under the name that it was given.
        if kind is Kind.PATH or (kind is Kind.PLACE and (value.startswith((".", "/")) or os.path.isdir(value))):
            made[name] = os.path.abspath(value)
    return made


def _text(data: bytes, file: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadConfig(f"{file}:{line}: it is not UTF-8; save it as such") from error


def _syntax(message: str, text: str, file: str) -> str:
    found = _AT.search(message)
    what = message[: found.start()] if found else message
    if found and found[1]:
        return f"{file}:{found[1]}: {what} (column {found[2]}); it is read as TOML"
    return f"{file}:{max(1, len(text.splitlines()))}: {what} at the end of the file; it is read as TOML"


def _line(text: str, key: str) -> int:
    """Return the line on which a key is, as far as can be told."""
    quoted = re.escape(key)
    found = re.search(rf"""^[ \t]*\[{{0,2}}[ \t]*["']?{quoted}["']?[ \t]*[=.\]]""", text, re.MULTILINE)
    return 1 if found is None else text.count("\n", 0, found.start()) + 1


def _unknown(key: str, known: Mapping[str, Kind]) -> str:
    plain = key.lstrip("-").replace("_", "-").lower()
    if plain in COMMAND_LINE_ONLY:
        return f"{key} is for the command line only"
    near = get_close_matches(plain, known, n=1)
    if near:
        return f"there is no option {key}; did you mean {near[0]}?"
    return f"there is no option {key}; twistd sdr --help has all of them"


def _value(key: str, value: object, kind: Kind, where: str, folder: str) -> Value:
    wrong = BadConfig(f"{where}: {key} is {_called(value)}; it is {kind.written(key)}")
    if kind is Kind.FLAG:
        if not isinstance(value, bool):
            raise wrong
        return value
    if kind is Kind.NUMBER_OR_AUTO and value == "auto":
        return "auto"
    if kind in (Kind.NUMBER, Kind.NUMBER_OR_AUTO):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong
        return str(value)
    if kind is Kind.LIST:
        if not isinstance(value, list):
            raise wrong
        return tuple(_item(key, item, where) for item in value)
    if not isinstance(value, str):
        raise wrong
    if kind is Kind.TEXT or (kind is Kind.PATH and value == "-") or (kind is Kind.PLACE and "://" in value):
        return value
    if kind is Kind.PLACE and not value.startswith(("/", ".")):
        raise BadConfig(f"{where}: {key} is {value}; a URL begins with https:// or http://, a directory with / or ./")
    return os.path.normpath(os.path.join(folder, value))


def _item(key: str, item: object, where: str) -> str:
    # Ports are numbers to people: `tls = [443]`.
    if isinstance(item, bool) or not isinstance(item, str | int):
        raise BadConfig(f"{where}: {key} has {_called(item)} in it; it is {Kind.LIST.written(key)}")
    return str(item)


def _is_number(default: object) -> bool:
    return isinstance(default, int | float) or bool(re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(default)))


def _called(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"the number {value}"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else "a time"

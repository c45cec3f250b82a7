"""Options of COPY: which there are for each format, what they take, and what writers and readers call them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlglot import exp

from gpuql_planner.errors import BinderError, CatalogError, GpuqlError, NotSupportedError, did_you_mean
from gpuql_planner.sql.bind_commands import error_at
from gpuql_planner.sql.command_syntax import CopySyntax, Name, Option
from gpuql_planner.sql.context import BindContext
from gpuql_planner.statement_errors import InvalidParameterValue

FORMATS = ("parquet", "csv", "json")
_FORMAT_OF_EXTENSION = {
    ".parquet": "parquet",
    ".parq": "parquet",
    ".pq": "parquet",
    ".json": "json",
    ".jsonl": "json",
    ".ndjson": "json",
}
_COMPRESSED = (".gz", ".zst")


@dataclass(frozen=True)
class Known:
    """An option: its name for writers and readers, and how its value is checked (a ValueError says what is taken)."""

    name: str
    check: Callable[[object], object]


def _flag(value: object) -> bool:
    if value is None:
        return True
    known = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
    if str(value).lower() not in known:
        raise ValueError("true or false")
    return known[str(value).lower()]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("a text")  # noqa: TRY004
    return value


def _character(value: object) -> str:
    text = _text(value)
    if len(text) > 1 or not text.isascii():
        raise ValueError("one ASCII character, or an empty text")
    return text


def _delimiter(value: object) -> str:
    text = _character(value)
    if not text:
        raise ValueError("one ASCII character")
    return text


def _whole(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("a whole number, 1 or more")
    return value


def _lines(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number, 0 or more")
    return value


def _columns(value: object) -> object:
    if value == "*" or (isinstance(value, tuple) and value):
        return value
    if isinstance(value, str):
        return (value,)
    raise ValueError("* or names of columns in parentheses")


def _choice(*allowed: str) -> Callable[[object], object]:
    def check(value: object) -> object:
        if str(value).lower() not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return str(value).lower()

    return check


_TEXT_COMPRESSION = Known("compression", _choice("auto", "none", "uncompressed", "gzip", "zstd"))
_DATES = {
    **dict.fromkeys(("dateformat", "date_format"), Known("dateformat", _text)),
    **dict.fromkeys(("timestampformat", "timestamp_format"), Known("timestampformat", _text)),
}
_CSV: dict[str, Known] = {
    "header": Known("header", _flag),
    **dict.fromkeys(("delimiter", "delim", "sep", "separator"), Known("delimiter", _delimiter)),
    "quote": Known("quote", _character),
    "escape": Known("escape", _character),
    **dict.fromkeys(("nullstr", "null"), Known("nullstr", _text)),
    "compression": _TEXT_COMPRESSION,
    "encoding": Known("encoding", _choice("utf-8", "utf8")),
    **_DATES,
}
_FILES: dict[str, Known] = {
    "partition_by": Known("partition_by", _columns),
    "write_partition_columns": Known("write_partition_columns", _flag),
    "overwrite": Known("overwrite", _flag),
    "overwrite_or_ignore": Known("overwrite_or_ignore", _flag),
    "append": Known("append", _flag),
    "use_tmp_file": Known("use_tmp_file", _flag),
    "per_thread_output": Known("per_thread_output", _flag),
}
_WRITTEN: dict[str, dict[str, Known]] = {
    "csv": {**_CSV, **_FILES, "force_quote": Known("force_quote", _columns)},
    "parquet": {
        **_FILES,
        **dict.fromkeys(
            ("compression", "codec"),
            Known(
                "compression",
                _choice("uncompressed", "none", "snappy", "gzip", "zstd", "brotli", "lz4", "lz4_raw"),
            ),
        ),
        "compression_level": Known("compression_level", _whole),
        **dict.fromkeys(("row_group_size", "chunk_size"), Known("row_group_size", _whole)),
    },
    "json": {
        **_FILES,
        "array": Known("array", _flag),
        "compression": _TEXT_COMPRESSION,
        **_DATES,
    },
}
_READ: dict[str, dict[str, Known]] = {
    "csv": {
        **_CSV,
        "skip": Known("skip", _lines),
        "allow_quoted_nulls": Known("allow_quoted_nulls", _flag),
        "ignore_errors": Known("ignore_errors", _flag),
        **dict.fromkeys(("auto_detect", "sample_size"), Known("", lambda value: value)),
    },
    "parquet": {},
    "json": {"array": Known("", _flag), "auto_detect": Known("", _flag), **_DATES},
}


def format_of(context: BindContext, syntax: CopySyntax, path: str) -> str:
    """The format that is asked for, else that of the file's extension, else CSV."""
    for option in syntax.options:
        if option.name == "format":
            written = str(option_value(option)).lower()
            known = {"ndjson": "json", "jsonl": "json"}.get(written, written)
            if known not in FORMATS:
                hint = did_you_mean(written, list(FORMATS)) or f"formats are {', '.join(FORMATS)}"
                raise error_at(
                    context, CatalogError, f"format does not exist: {written}", option.offset, hint
                )
            return known
    folded = path.lower()
    for suffix in _COMPRESSED:
        folded = folded.removesuffix(suffix)
    extension = folded[folded.rfind(".") :] if "." in folded else ""
    return _FORMAT_OF_EXTENSION.get(extension, "csv")


def checked_options(context: BindContext, syntax: CopySyntax, format_name: str) -> dict[str, object]:
    """Values of all options by the names that writers or readers have for them.

    Errors: BinderError for an option that there is not or a value that it does not take, at its place.
    """
    known = (_WRITTEN if syntax.to_file else _READ)[format_name]
    values: dict[str, object] = {}
    for option in syntax.options:
        if option.name == "format":
            continue
        found = known.get(option.name)
        if found is None:
            raise _unknown(context, syntax, option, known, format_name)
        try:
            value = found.check(option_value(option))
        except ValueError as error:
            raise error_at(
                context, InvalidParameterValue, f"option {option.name} must be {error}", option.offset
            ) from None
        if found.name in values:
            raise error_at(context, BinderError, f"option is given twice: {option.name}", option.offset)
        if found.name:
            values[found.name] = value
    if values.pop("per_thread_output", False):
        raise error_at(
            context, NotSupportedError, "not supported: PER_THREAD_OUTPUT", syntax.options[0].offset
        )
    if format_name == "csv" and values.get("delimiter", ",") == values.get("quote", '"'):
        option = next(one for one in syntax.options if known[one.name].name in ("delimiter", "quote"))
        raise error_at(
            context, InvalidParameterValue, "options delimiter and quote must differ", option.offset
        )
    values.pop("use_tmp_file", None)  # files always appear whole
    values.pop("encoding", None)
    return values


def option_values(given: Mapping[str, object], format_name: str) -> dict[str, object]:
    """Checked options of a file that is written, from Python values. Errors: BinderError."""
    known, values = _WRITTEN[format_name], {}
    for name, value in given.items():
        found = known.get(name.lower())
        if found is None or found.name in ("per_thread_output", "use_tmp_file", "encoding"):
            hint = did_you_mean(name, list(known)) or f"options are {', '.join(known)}"
            raise BinderError(f"no such option for what is written to {format_name}: {name}", hint=hint)
        plain = tuple(value) if isinstance(value, (list, set)) else value
        try:
            values[found.name] = found.check(plain)
        except ValueError as error:
            raise InvalidParameterValue(f"option {name} must be {error}: {value!r}") from None
    return values


def _unknown(
    context: BindContext, syntax: CopySyntax, option: Option, known: Mapping[str, Known], format_name: str
) -> GpuqlError:
    direction = "written to" if syntax.to_file else "read from"
    hint = did_you_mean(option.name, [*known, "format"]) or f"options are format, {', '.join(known)}"
    return error_at(
        context,
        BinderError,
        f"no such option for what is {direction} {format_name}: {option.name}",
        option.offset,
        hint,
    )


def option_value(option: Option) -> object:
    """Python value of an option: None, a constant, a bare word, "*", or names."""
    value = option.value
    if isinstance(value, tuple):
        return tuple(part.text if isinstance(part, Name) else str(part) for part in value)
    if isinstance(value, exp.Star):
        return "*"
    if isinstance(value, exp.Literal):
        if value.is_string:
            return str(value.this)
        text = str(value.this)
        return int(text) if text.isdigit() else text
    if isinstance(value, exp.Boolean):
        return bool(value.this)
    if isinstance(value, (exp.Column, exp.Identifier, exp.Var)):
        return value.name
    if isinstance(value, exp.Array):
        return tuple(
            item.name if isinstance(item, exp.Column) else str(item.this) for item in value.expressions
        )
    return None if value is None else value.sql("duckdb")

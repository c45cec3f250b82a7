"""Bytes as text and back, hashes, and text built from a format."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import urllib.parse
from collections.abc import Callable
from typing import Any

from gpuql.columnar.column import Array, Column
from gpuql.expressions.host_calls import call_on_host, host_function
from gpuql.expressions.vectors import EvaluationContext, make_column
from gpuql_planner.errors import ConversionError, DataError
from gpuql_planner.types import DataType


def _bytes_of(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _unhex(text: str) -> bytes:
    if not re.fullmatch("[0-9a-fA-F]*", text):
        raise DataError(f"text is not hexadecimal: {text!r}")
    return bytes.fromhex(text.rjust(len(text) + len(text) % 2, "0"))


def _unbin(text: str) -> bytes:
    if not re.fullmatch("[01]*", text):
        raise DataError(f"text is not binary: {text!r}")
    padded = text.rjust(-(-len(text) // 8) * 8, "0")
    return bytes(int(padded[place : place + 8], 2) for place in range(0, len(padded), 8))


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ConversionError(f"text is not base64: {text!r}") from None


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ConversionError("bytes are not UTF-8 text: decode") from None


def _digest(name: str) -> Callable[[str | bytes], str]:
    return lambda value: hashlib.new(name, _bytes_of(value), usedforsecurity=False).hexdigest()


def _url_decode(text: str) -> str:
    try:
        return urllib.parse.unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode("utf-8")
    except UnicodeDecodeError:
        raise ConversionError(f"bytes are not UTF-8 text: url_decode({text!r})") from None


# --- hash ----------------------------------------------------------------------------------------------------------

_MULTIPLIER = 0xD6E8FEB86659FD93


def _mixed(xp: Any, words: Array) -> Array:
    """Murmur's finaliser with Pelle Evensen's multiplier, on uint64."""
    multiplier, half = xp.uint64(_MULTIPLIER), xp.uint64(32)
    words = (words ^ (words >> half)) * multiplier
    words = (words ^ (words >> half)) * multiplier
    return words ^ (words >> half)


def hash_values(dtype: DataType, arguments: list[Column], context: EvaluationContext) -> Column:
    """hash(value, ...): equal values of equal types have equal hashes; which ones is not promised."""
    xp = context.xp
    total = _hash_of(xp, arguments[0], context)
    for argument in arguments[1:]:
        spread = (total ^ (total >> xp.uint64(32))) * xp.uint64(_MULTIPLIER)
        total = spread ^ _hash_of(xp, argument, context)
    return make_column(xp, dtype, total, None)


def _hash_of(xp: Any, column: Column, context: EvaluationContext) -> Array:
    from gpuql_planner.types import UBIGINT

    if column.strings is not None or column.values.ndim == 2 or column.dtype.is_float:
        hashed = call_on_host(_hash_one, UBIGINT, [column], context, strict=False).values.astype(xp.uint64)
    else:
        hashed = _mixed(xp, column.values.astype(xp.int64).view(xp.uint64))
    if column.validity is not None:
        hashed = xp.where(column.validity, hashed, xp.uint64(0xBF58476D1CE4E5B9))
    return hashed


def _hash_one(value: Any) -> int:
    if isinstance(value, float):
        value = 0.0 if value == 0 else value
    data = _bytes_of(value) if isinstance(value, str | bytes) else repr(value).encode()
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little")


# --- formats -------------------------------------------------------------------------------------------------------

_FIELD = re.compile(r"\{\{|\}\}|\{(\d*)(?::([^{}]*))?\}|[{}]")
_SPECIFIER = re.compile(r"%(?:(%)|([-+ #0,']*)(\d+)?(?:\.(\d+))?(?:hh|h|ll|l|L|q|j|z|t)?([a-zA-Z]))")
_INTEGER_LETTERS = "diuxXocb"
_FLOAT_LETTERS = "eEfFgGaA"


def _format(pattern: str, *values: Any) -> str:
    """``format('{} {:>5}', ...)`` in the syntax of the fmt library, which Python's resembles."""
    pieces: list[str] = []
    position = taken = 0
    for match in _FIELD.finditer(pattern):
        pieces.append(pattern[position : match.start()])
        position = match.end()
        found = match[0]
        if found in ("{{", "}}"):
            pieces.append(found[0])
            continue
        if found in ("{", "}"):
            raise DataError(f"format string is not valid: {pattern!r}")
        index = int(match[1]) if match[1] else taken
        taken += 0 if match[1] else 1
        if index >= len(values):
            raise DataError(f"format string asks for more values than there are: {pattern!r}")
        pieces.append(_formatted(values[index], match[2] or "", pattern))
    return "".join([*pieces, pattern[position:]])


def _formatted(value: Any, specifier: str, pattern: str) -> str:
    if isinstance(value, bool):
        value = (
            ("true" if value else "false") if specifier[-1:] not in tuple(_INTEGER_LETTERS) else int(value)
        )
    if specifier[-1:] in ("c", "%", "n") or (
        isinstance(value, int) and specifier[-1:] in tuple(_FLOAT_LETTERS)
    ):
        raise DataError(f"format of a whole number is not valid: {specifier!r} in {pattern!r}")
    try:
        return format(value, specifier)
    except (ValueError, OverflowError):
        raise DataError(f"format of a value is not valid: {specifier!r} in {pattern!r}") from None


def _printf(pattern: str, *values: Any) -> str:
    pieces: list[str] = []
    position = taken = 0
    for match in _SPECIFIER.finditer(pattern):
        pieces.append(pattern[position : match.start()])
        position = match.end()
        if match[1]:
            pieces.append("%")
            continue
        if taken >= len(values):
            raise DataError(f"format string asks for more values than there are: {pattern!r}")
        pieces.append(_printed(values[taken], match))
        taken += 1
    rest = pattern[position:]
    if "%" in _SPECIFIER.sub("", pattern):
        raise DataError(f"format string is not valid: {pattern!r}")
    return "".join([*pieces, rest])


def _printed(value: Any, match: re.Match[str]) -> str:
    flags, width, precision, letter = match[2] or "", match[3] or "", match[4], match[5]
    wants_number = letter in _INTEGER_LETTERS or letter in _FLOAT_LETTERS
    if isinstance(value, bool):
        value = int(value) if wants_number else ("true" if value else "false")
    fits = (
        (letter in _INTEGER_LETTERS and isinstance(value, int))
        or (letter in _FLOAT_LETTERS and isinstance(value, float))
        or (letter == "s" and isinstance(value, str))
    )
    if not fits:
        raise DataError(f"format of a value is not valid: {match[0]!r}")
    grouping = "," if "," in flags or "'" in flags else ""
    plain = flags.replace(",", "").replace("'", "")
    dotted = "" if precision is None else f".{precision}"
    if grouping:
        text = format(value, f"{grouping}{dotted}{'d' if letter in 'diu' else letter}")
        if "+" in plain and value >= 0:
            text = "+" + text
        return text.ljust(int(width or 0)) if "-" in plain else text.rjust(int(width or 0))
    try:
        if letter in "xXo" and value < 0:
            value %= 2**64
        if letter == "b":
            return format(value, "b").rjust(int(width or 0))
        return str(f"%{plain}{width}{dotted}{'d' if letter in 'iu' else letter}" % value)
    except (ValueError, OverflowError, TypeError):
        raise DataError(f"format of a value is not valid: {match[0]!r}") from None


FUNCTIONS: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {
    "unhex": host_function(_unhex),
    "unbin": host_function(_unbin),
    "base64": host_function(lambda data: base64.b64encode(data).decode()),
    "from_base64": host_function(_from_base64),
    "encode": host_function(_bytes_of),
    "decode": host_function(_decode),
    "octet_length": host_function(len),
    "md5": host_function(_digest("md5")),
    "sha1": host_function(_digest("sha1")),
    "sha256": host_function(_digest("sha256")),
    "url_encode": host_function(
        lambda text: urllib.parse.quote(text.encode("utf-8", "surrogateescape"), safe="-_.~")
    ),
    "url_decode": host_function(_url_decode),
    "format": host_function(_format),
    "printf": host_function(_printf),
}

#: Functions that see NULL arguments.
NULL_AWARE: dict[str, Callable[[DataType, list[Column], EvaluationContext], Column]] = {"hash": hash_values}

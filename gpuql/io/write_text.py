"""CSV and JSON files from rows whose values are texts already (nested values in JSON are not)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from gpuql.io.written_files import open_text

_ESCAPES = (("\\", "\\\\"), ('"', '\\"'), ("\n", "\\n"), ("\r", "\\r"), ("\t", "\\t"))
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"


class CsvWriter:
    """Writes rows of texts as CSV. A text is quoted if it would be read as something else."""

    def __init__(self, path: str, schema: Any, options: Mapping[str, object], compression: str) -> None:
        self._delimiter = str(options.get("delimiter", ","))
        self._quote = str(options.get("quote", '"'))
        self._escape = str(options.get("escape") or self._quote)
        self._null = str(options.get("nullstr", ""))
        force = options.get("force_quote", ())
        self._forced = set(schema.names) if force == "*" else set(force)  # type: ignore[call-overload]
        special = {self._delimiter, self._quote, "\n", "\r"}
        self._special = "[" + "".join(re.escape(one) for one in sorted(special) if one) + "]"
        self._file = open_text(path, compression)
        if options.get("header", True):
            header = pa.record_batch([pa.array([name], pa.string()) for name in schema.names], schema.names)
            self.write(header)

    def write(self, batch: Any) -> None:
        """See ``Writer``."""
        if not batch.num_rows:
            return
        columns = [self._values(batch.column(place), name) for place, name in enumerate(batch.schema.names)]
        self._file.write(lines(columns, self._delimiter, "\n"))

    def _values(self, column: Any, name: str) -> Any:
        texts = column.cast(pa.large_string())
        if self._quote:
            quoted = texts
            if self._escape != self._quote:
                quoted = pc.replace_substring(quoted, self._escape, self._escape * 2)
            quoted = pc.replace_substring(quoted, self._quote, self._escape + self._quote)
            quoted = _surrounded(self._quote, quoted, self._quote)
            if name in self._forced:
                texts = quoted
            else:
                needed = pc.or_(
                    pc.match_substring_regex(texts, self._special),
                    pc.equal(texts, pa.scalar(self._null, pa.large_string())),
                )
                texts = pc.if_else(needed, quoted, texts)
        return pc.fill_null(texts, self._null)

    def close(self) -> None:
        """See ``Writer``."""
        self._file.close()


class JsonWriter:
    """Writes rows as JSON objects, one a line, or as one array.

    ``kinds`` says of each column how its texts are written: plain (as they are), decimal (without zeros at the end),
    text (as a JSON string) or nested (an Arrow value).
    """

    def __init__(
        self,
        path: str,
        schema: Any,
        options: Mapping[str, object],
        kinds: Mapping[str, str],
        compression: str,
    ) -> None:
        self._names = list(schema.names)
        self._kinds = [kinds[name] for name in self._names]
        self._array = bool(options.get("array"))
        self._any = False
        self._file = open_text(path, compression)
        if self._array:
            self._file.write(b"[\n")

    def write(self, batch: Any) -> None:
        """See ``Writer``."""
        if not batch.num_rows:
            return
        columns = []
        for place, (name, kind) in enumerate(zip(self._names, self._kinds, strict=True)):
            key = json.dumps(name, ensure_ascii=False) + ":"
            start = "{" + key if place == 0 else key
            values = pc.fill_null(_json_values(batch.column(place), kind), "null")
            columns.append(_surrounded(start, values, ""))
        if not self._array:
            self._file.write(lines(columns, ",", "}\n"))
            return
        rows = lines(columns, ",", "}\x00").split(b"\x00")[:-1]
        self._file.write((b",\n\t" if self._any else b"\t") + b",\n\t".join(rows))
        self._any = True

    def close(self) -> None:
        """See ``Writer``."""
        if self._array:
            self._file.write(b"\n]\n" if self._any else b"]\n")
        self._file.close()


def _json_values(column: Any, kind: str) -> Any:
    if kind == "nested":
        values = [None if value is None else _json_text(value) for value in column.to_pylist()]
        return pa.array(values, pa.large_string())
    texts = column.cast(pa.large_string())
    if kind == "text":
        for plain, escaped in _ESCAPES:
            texts = pc.replace_substring(texts, plain, escaped)
        if pc.any(pc.match_substring_regex(texts, _CONTROL)).as_py():
            texts = pa.array(
                [None if text is None else re.sub(_CONTROL, _escaped, text) for text in texts.to_pylist()],
                pa.large_string(),
            )
        return _surrounded('"', texts, '"')
    if kind == "decimal":
        texts = pc.replace_substring_regex(texts, r"(\.[0-9]*?)0+$", r"\1")
        return pc.replace_substring_regex(texts, r"\.$", ".0")
    special = pc.match_substring_regex(texts, r"^-?(nan|inf)")
    return pc.if_else(special, _surrounded('"', texts, '"'), texts)


def _escaped(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _json_text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str, separators=(",", ":"))


def _surrounded(before: str, texts: Any, after: str) -> Any:
    empty = pa.scalar("", pa.large_string())
    return pc.binary_join_element_wise(
        pa.scalar(before, pa.large_string()), texts, pa.scalar(after, pa.large_string()), empty
    )


def lines(columns: Sequence[Any], separator: str, end: str) -> bytes:
    """Bytes of all rows: their texts, none of which is NULL, with ``separator`` between and ``end`` behind them."""
    between = pa.scalar(separator, pa.large_string())
    rows = columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, between)
    ended = _surrounded("", rows, end)
    if isinstance(ended, pa.ChunkedArray):
        return b"".join(map(_bytes_of, ended.chunks))
    return _bytes_of(ended)


def _bytes_of(texts: Any) -> bytes:
    """The texts one after the other."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return b""
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return bytes(memoryview(data)[int(bounds[0]) : int(bounds[-1])])

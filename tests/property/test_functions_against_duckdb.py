"""Functions and casts of random values, NULLs and extremes among them, against DuckDB."""

from __future__ import annotations

import math
import random
from typing import Any

import duckdb
import pytest

import gpuql

ROWS = 60

#: Expressions over the columns of ``COLUMNS``.
TEMPLATES = [
    "gcd(i, j)", "bit_count(b)", "even(y)", "hex(i)", "bin(b)", "to_base(abs(i::BIGINT), 7)", "round_even(x, 2)",
    "format_bytes(b)", "signbit(x)", "fdiv(i, 7)", "fmod(i, 7)", "nextafter(x, y)", "bar(y, -100, 100, 12)",
    "i % 7", "i // 7", "b & i", "b | i", "xor(b, i)", "n * i", "round(n, 1)", "round(y, 1)", "trunc(y)", "sign(x)",
    "levenshtein(s, r)", "damerau_levenshtein(s, r)", "jaro_similarity(s, r)", "jaro_winkler_similarity(s, r)",
    "md5(s)", "sha256(s)", "upper(s)", "reverse(s)", "s || r", "concat_ws('-', s, r, i)", "replace(s, 'a', 'b')",
    "translate(s, 'abc', 'x')", "lpad(s, 5, '*')", "left(s, 2)", "right(s, -1)", "substring(s, 2, 2)", "strpos(s, r)",
    "regexp_replace(s, '[a-c]', '#', 'g')", "regexp_extract(s, '([a-z])(.)', 2)", "regexp_matches(s, '^a')",
    "s LIKE 'a%'", "s ILIKE '%B%'", "s GLOB '*[a-c]*'", "url_encode(s)", "strip_accents(s)", "length_grapheme(s)",
    "printf('%d|%s', i, s)", "format('{} {:>6}', s, i)", "url_decode(url_encode(s))", "parse_filename(s)",
    "unhex(hex(s))::VARCHAR", "decode(encode(s))", "from_base64(base64(encode(s)))::VARCHAR", "split_part(s, 'a', 1)",
    "year(d)", "week(d)", "isoyear(d)", "yearweek(d)", "century(d)", "dayofyear(d)", "julian(t)", "last_day(d)",
    "date_trunc('week', t)::VARCHAR", "date_trunc('quarter', d)::VARCHAR", "date_diff('month', t, u)",
    "date_sub('month', t, u)", "date_sub('day', t, u)", "date_diff('week', t, u)", "age(t, u)::VARCHAR",
    "time_bucket(INTERVAL '17 hours', t)::VARCHAR", "time_bucket(INTERVAL '5 months', d)", "epoch_ms(t)",
    "strftime(t, '%Y-%j %H:%M:%S.%f %a %b %U %W %V')", "(t + INTERVAL '1 month 3 days')::VARCHAR", "(t - u)::VARCHAR",
    "dayname(d)", "monthname(d)", "t::TIMESTAMP_S::VARCHAR", "t::TIMESTAMP_MS::VARCHAR", "t::TIME::VARCHAR",
    "try_cast(s AS INTEGER)", "try_cast(i AS TINYINT)", "try_cast(x AS INTEGER)", "try_cast(b AS DECIMAL(9,2))",
    "i::VARCHAR", "n::VARCHAR", "n::DOUBLE", "n::INTEGER", "x::VARCHAR", "d::VARCHAR", "t::VARCHAR", "i::BOOLEAN",
    "try_cast(y AS DECIMAL(6,1))", "y::REAL::VARCHAR", "d::TIMESTAMP::VARCHAR", "t::DATE", "coalesce(s, r, 'none')",
    "greatest(i, j)", "least(x, y)", "nullif(i, j)", "if(i > j, s, r)", "hash(i) = hash(i)", "i IS DISTINCT FROM j",
    "make_date(2000 + abs(i % 50), 1 + abs(i % 12), 1 + abs(j % 28))", "to_days(i % 1000)::VARCHAR",
    "normalized_interval(t - u)::VARCHAR", "((t - u) / 7)::VARCHAR", "((t - u) * 0.5)::VARCHAR",
]  # fmt: skip


def literal(generator: random.Random, kind: str) -> str:
    if generator.random() < 0.12:
        return "NULL"
    match kind:
        case "INTEGER":
            return str(generator.choice([0, 1, -1, 2**31 - 1, -(2**31) + 1, generator.randint(-1000, 1000)]))
        case "BIGINT":
            return str(generator.choice([0, -1, 2**63 - 1, -(2**63) + 1, generator.randint(-(10**9), 10**9)]))
        case "DOUBLE":
            return repr(generator.choice([0.0, 1.5, -2.5, 1e10, generator.uniform(-100, 100)]))
        case "DECIMAL(9,2)":
            return f"{generator.randint(-(10**6), 10**6) / 100:.2f}"
        case "VARCHAR":
            letters = generator.choices("abcAB1 é-/.", k=generator.randint(0, 6))
            return "'" + "".join(letters) + "'"
        case "DATE":
            month, day = generator.randint(1, 12), generator.randint(1, 28)
            return f"DATE '{generator.randint(1900, 2100)}-{month:02d}-{day:02d}'"
        case _:
            date = f"{generator.randint(1950, 2050)}-{generator.randint(1, 12):02d}-{generator.randint(1, 28):02d}"
            clock = f"{generator.randint(0, 23):02d}:{generator.randint(0, 59):02d}:{generator.randint(0, 59):02d}"
            return f"TIMESTAMP '{date} {clock}.{generator.randint(0, 999_999):06d}'"


COLUMNS = {
    **dict.fromkeys("ij", "INTEGER"),
    "b": "BIGINT",
    **dict.fromkeys("xy", "DOUBLE"),
    "n": "DECIMAL(9,2)",
    **dict.fromkeys("sr", "VARCHAR"),
    "d": "DATE",
    **dict.fromkeys("tu", "TIMESTAMP"),
}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-12) or (math.isnan(one) and math.isnan(other))
    return bool(one == other)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_values(seed: int) -> None:
    generator = random.Random(seed)
    rows = [
        f"({place}, {', '.join(literal(generator, kind) for kind in COLUMNS.values())})"
        for place in range(ROWS)
    ]
    create = f"CREATE TABLE v (k INTEGER, {', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})"
    insert = f"INSERT INTO v VALUES {', '.join(rows)}"
    wrong = []
    with duckdb.connect() as reference, gpuql.connect(device="cpu", tier="interpreted") as connection:
        for engine in (reference, connection):
            engine.execute(create)
            engine.execute(insert)
        for template in TEMPLATES:
            query = f"SELECT {template} FROM v ORDER BY k"
            try:
                expected: Any = [row[0] for row in reference.execute(query).fetchall()]
            except duckdb.Error as error:
                expected = error
            try:
                got: Any = [row[0] for row in connection.execute(query).fetchall()]
            except gpuql.errors.GpuqlError as error:
                got = error
            if isinstance(expected, Exception) or isinstance(got, Exception):
                if not (isinstance(expected, Exception) and isinstance(got, Exception)):
                    wrong.append((template, str(expected)[:150], str(got)[:150]))
                continue
            differ = [pair for pair in zip(expected, got, strict=True) if not same(*pair)]
            if differ:
                wrong.append((template, *map(str, differ[0])))
    assert not wrong, "\n".join(map(str, wrong))

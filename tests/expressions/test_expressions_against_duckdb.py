"""Every scalar function and operator, interpreted, against DuckDB over columns with NULLs and extremes."""

from __future__ import annotations

import datetime
import math
from typing import Any

import duckdb
import pytest

import gpuql

ROWS = """
    (1, 10, 100, 1000, 1.5, 2.25, 0.5, 'abc', 'b', DATE '2020-02-29', TIMESTAMP '2020-02-29 13:14:15.678901', TRUE),
    (2, -7, NULL, -9223372036854775808, -2.5, 99.99, -1.5, 'Héllo wörld', '', DATE '1969-12-31',
     TIMESTAMP '1969-12-31 23:59:59.999999', FALSE),
    (3, 0, 3, 9223372036854775807, NULL, -0.01, 1e300, '', 'x', DATE '1900-01-01', TIMESTAMP '1999-01-01 00:00:00',
     NULL),
    (4, NULL, -5, 0, 0.0, NULL, NULL, NULL, 'abc', NULL, NULL, TRUE),
    (5, 127, 6, -1, 12345678.9, 0.00, 2.5, 'a%b_c', NULL, DATE '2024-12-30', TIMESTAMP '2024-12-30 10:00:00', FALSE),
    (6, -128, 5, 42, -0.1, 5.55, -0.0, '  padded ', 'dd', DATE '2000-01-31', TIMESTAMP '2000-01-31 08:30:00', NULL),
    (7, 5, 5, 42, 7.0, 5.55, 3.0, '12', '12', DATE '2021-01-03', TIMESTAMP '2021-01-03 08:30:00.5', TRUE)
"""
COLUMNS = "id, i, j, big, dec1, dec2, f, s, s2, d, ts, b"
TYPES = (
    "id::INTEGER id, i::INTEGER i, j::SMALLINT j, big::BIGINT big, dec1::DECIMAL(10,1) dec1, dec2::DECIMAL(5,2) dec2, "
    "f::DOUBLE f, s::VARCHAR s, s2::VARCHAR s2, d::DATE d, ts::TIMESTAMP ts, b::BOOLEAN b"
)

EXPRESSIONS = """
i + j
i - j
i * j
i / j
i // nullif(j, 0)
i % nullif(j, 0)
-i
abs(i)
big // 7
big % 10
big / 3
dec1 + dec2
dec1 - dec2
dec1 * dec2
dec1 / dec2
dec1 % nullif(dec2, 0)
-dec1
abs(dec1)
dec1 + i
dec2 * j
f + i
f * 2
f / i
f - dec1
-f
abs(f)
f % 2
big::HUGEINT * big
big::HUGEINT + big
dec2 * dec2 * dec2
i = j
i <> j
i < j
i <= j
i > j
i >= j
i = 5
i < 1000000
big > 42
dec1 > dec2
dec1 = 7
f > 1
f = -0.0
s = s2
s < s2
s >= 'abc'
s = 'abc'
s <> ''
s > s2
d > DATE '2000-01-01'
ts <= TIMESTAMP '2000-01-31 08:30:00'
b = TRUE
i IS DISTINCT FROM j
i IS NOT DISTINCT FROM j
s IS DISTINCT FROM s2
f IS NOT DISTINCT FROM 3.0
b AND i > 0
b OR i > 0
NOT b
(i > 0) AND (j > 0)
(i > 0) OR (j > 0)
i IS NULL
s IS NOT NULL
NULL AND b
NULL OR b
coalesce(i, j, 0)
coalesce(s, s2)
coalesce(NULL, f, 1)
nullif(i, 5)
ifnull(s, 'none')
coalesce(d, DATE '2000-01-01')
greatest(i, j)
least(i, j, 3)
greatest(s, s2)
least(f, 1.0)
greatest(dec1, dec2)
greatest(d, DATE '2000-01-01')
CASE WHEN i > 0 THEN 'pos' WHEN i < 0 THEN 'neg' ELSE s END
CASE WHEN j <> 0 THEN i // j END
CASE i WHEN 5 THEN 1 WHEN 10 THEN 2 END
CASE WHEN b THEN dec1 ELSE dec2 END
CASE WHEN b THEN f ELSE i END
CASE WHEN s = 'abc' THEN d END
i IN (1, 5, 10)
i NOT IN (1, 5, NULL)
s IN ('abc', '12')
s NOT IN ('abc')
dec1 IN (1.5, 7)
d IN (DATE '2020-02-29')
i IN (j, 5)
i BETWEEN 0 AND 10
d BETWEEN DATE '2000-01-01' AND DATE '2021-12-31'
f NOT BETWEEN 0 AND 1
round(dec2, 1)
round(dec2)
round(f, 1)
round(dec1, -2)
round(i, -1)
floor(dec2)
ceil(dec2)
trunc(dec2)
floor(f)
ceil(f)
sign(i)
sign(dec1)
sign(f)
sqrt(abs(i))
cbrt(f)
exp(i / 100)
ln(abs(f) + 1)
log2(id)
log10(id)
power(id, 2)
power(dec2, 2)
sin(f / 1e300)
cos(id)
tan(id)
asin(id / 10)
acos(id / 10)
atan(f)
atan2(i, id)
degrees(id)
radians(id)
pi()
isnan(f)
isinf(f)
isfinite(f)
i & 7
i | 1
xor(i, j)
~i
id << 3
i >> 1
big >> 3
upper(s)
lower(s)
length(s)
strlen(s)
substring(s, 2, 3)
substring(s, -3, 2)
substring(s, 0, 3)
substring(s, id, 2)
left(s, 2)
right(s, 2)
left(s, -1)
right(s, -1)
trim(s)
ltrim(s)
rtrim(s)
trim(s, 'a')
s || s2
s || 'x'
'x' || s2 || i
concat(s, s2)
concat(s, 1, NULL, s2)
concat_ws('-', s, s2)
concat_ws(s2, s, 'q')
replace(s, 'b', 'zz')
replace(s, s2, '!')
starts_with(s, 'a')
ends_with(s, 'c')
contains(s, 'b')
contains(s, s2)
strpos(s, 'l')
strpos(s, s2)
reverse(s)
repeat(s, 2)
lpad(s, 5, '*')
rpad(s, 5, 'xy')
split_part(s, 'b', 1)
split_part(s, ' ', id - 1)
ascii(s)
chr(id + 64)
s LIKE 'a%'
s LIKE '%b%'
s LIKE '_b_'
s LIKE 'H_llo%'
s LIKE 'a\\%b%' ESCAPE '\\'
s NOT LIKE '%c'
s ILIKE 'héL%'
s LIKE s2
s LIKE '%'
s LIKE ''
s LIKE '%b%c'
regexp_matches(s, '[a-c]+')
regexp_full_match(s, '[a-z]+')
regexp_replace(s, 'l', 'L')
regexp_replace(s, 'l', 'L', 'g')
regexp_extract(s, '([a-z])(.)', 2)
year(d)
month(d)
day(d)
quarter(d)
week(d)
dayofweek(d)
isodow(d)
dayofyear(d)
year(ts)
hour(ts)
minute(ts)
second(ts)
millisecond(ts)
microsecond(ts)
epoch(ts)
epoch(d)
extract(year FROM ts)
date_part('month', ts)
date_trunc('month', d)
date_trunc('week', d)
date_trunc('year', ts)
date_trunc('hour', ts)
date_trunc('quarter', d)
date_trunc('second', ts)
date_diff('day', d, DATE '2020-01-01')
date_diff('month', d, DATE '2020-01-01')
date_diff('year', d, DATE '2020-01-01')
date_diff('hour', ts, TIMESTAMP '2020-01-01')
date_diff('week', d, DATE '2020-01-01')
last_day(d)
monthname(d)
dayname(d)
strftime(d, '%Y/%m/%d %a')
strftime(ts, '%H:%M:%S.%f %p %j')
make_date(2000 + id, id, id)
strptime('2020-01-0' || id, '%Y-%m-%d')
d + 1
d - 30
d - DATE '2000-01-01'
d + INTERVAL 1 MONTH
d - INTERVAL 1 YEAR
ts + INTERVAL 90 MINUTE
ts - INTERVAL 3 DAY
ts - TIMESTAMP '2000-01-01'
d + INTERVAL (id) DAY
d + id * INTERVAL 1 MONTH
INTERVAL 1 DAY + INTERVAL 2 HOUR
INTERVAL 30 DAY = INTERVAL 1 MONTH
INTERVAL 25 HOUR > INTERVAL 1 DAY
i::BIGINT
i::DOUBLE
i::VARCHAR
i::DECIMAL(10,2)
i::BOOLEAN
dec1::INTEGER
dec2::DECIMAL(10,1)
dec2::VARCHAR
dec2::DOUBLE
dec1::DECIMAL(20,10)
f::VARCHAR
dec2::REAL::VARCHAR
(f / 1e300)::INTEGER
(f / 1e298)::DECIMAL(10,3)
b::INTEGER
b::VARCHAR
d::VARCHAR
ts::VARCHAR
ts::DATE
d::TIMESTAMP
TRY_CAST(s AS INTEGER)
TRY_CAST(s AS DOUBLE)
TRY_CAST(s AS DATE)
TRY_CAST(i AS TINYINT)
TRY_CAST(big AS INTEGER)
TRY_CAST(dec1 AS DECIMAL(3,1))
TRY_CAST(s2 AS BOOLEAN)
big::VARCHAR
(big::HUGEINT * 10)::VARCHAR
(INTERVAL 14 MONTH)::VARCHAR
(ts - d::TIMESTAMP)::VARCHAR
((big::DECIMAL(38,0) * 1000) / 7)::DOUBLE
big::DECIMAL(38,10)
(big::DECIMAL(38,10))::DECIMAL(38,2)
big::HUGEINT = 42
big::HUGEINT * 1000 > 5
"""


def divmod_toward_zero(value: int, unit: int) -> tuple[int, int]:
    quotient = abs(value) // unit * (1 if value >= 0 else -1)
    return quotient, value - quotient * unit


@pytest.fixture(scope="module")
def oracle() -> Any:
    connection = duckdb.connect()
    connection.execute(f"CREATE TABLE t AS SELECT {TYPES} FROM (VALUES {ROWS}) v({COLUMNS})")
    return connection


@pytest.fixture(scope="module")
def engine(oracle: Any) -> Any:
    connection = gpuql.connect(device="cpu", tier="interpreted", threads=1)
    connection.register("t", oracle.sql("SELECT * FROM t").to_arrow_table())
    return connection


def same(left: Any, right: Any) -> bool:
    if isinstance(right, datetime.timedelta):
        return (left.months, left.days, left.microseconds) == (
            0,
            *divmod_toward_zero(right // datetime.timedelta(microseconds=1), 86_400_000_000),
        )
    if isinstance(left, float) and isinstance(right, float):
        return (math.isnan(left) and math.isnan(right)) or math.isclose(left, right, rel_tol=1e-12)
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


@pytest.mark.parametrize("expression", EXPRESSIONS.strip().splitlines())
def test_expression(engine: Any, oracle: Any, expression: str) -> None:
    for rows in ("TRUE", "id = 1", "id = 4", "FALSE"):
        query = f"SELECT {expression} FROM t WHERE {rows} ORDER BY id"
        expected = [row[0] for row in oracle.execute(query).fetchall()]
        got = [row[0] for row in engine.sql(query).fetchall()]
        assert len(got) == len(expected)
        assert all(same(a, b) for a, b in zip(got, expected, strict=True)), (rows, got, expected)


def test_long_plain_strings() -> None:
    """Columns of many distinct strings, ASCII and not, take the paths that work on bytes."""
    oracle = duckdb.connect()
    oracle.execute(
        "CREATE TABLE p AS SELECT i, CASE WHEN i % 17 <> 0 THEN repeat('Pre ', i % 3) || 'Row ' || (i * 7919 % 9973) "
        "END AS a, 'Ärger ' || i || repeat('z', i % 20) AS u FROM range(9000) r(i)"
    )
    connection = gpuql.connect(device="cpu", tier="interpreted", threads=2)
    connection.register("p", oracle.sql("SELECT * FROM p").to_arrow_table())
    for query in (
        "SELECT upper(a), lower(a), upper(u), lower(u), length(u) FROM p WHERE i % 3 = 0 ORDER BY i",
        "SELECT max(a), min(a), max(u), min(u), count(DISTINCT upper(a)) FROM p",
        "SELECT i % 5 AS k, max(a), min(a), max(u), min(u) FROM p GROUP BY i % 5 ORDER BY k",
        "SELECT a, u FROM p ORDER BY a DESC, u LIMIT 30",
        "SELECT count(*) FROM p WHERE upper(a) LIKE '%ROW 12%' OR u ILIKE '%ÄRGER 4%'",
        "SELECT substring(u, 1, 3) AS s, count(*) FROM p GROUP BY 1",
        "SELECT count(*) FROM p x JOIN p y ON x.a = y.a AND x.u = y.u",
    ):
        assert connection.sql(query).fetchall() == oracle.execute(query).fetchall(), query

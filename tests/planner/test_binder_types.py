"""Types of expressions are those that DuckDB gives them."""

from __future__ import annotations

import duckdb
import pytest

from gpuql_planner.catalog import Field
from gpuql_planner.errors import BinderError
from tests.planner.binder_catalog import SchemaCatalog, SchemaTable, bind_query, data_type

COLUMNS = {
    "ti": "TINYINT",
    "si": "SMALLINT",
    "i": "INTEGER",
    "bi": "BIGINT",
    "hi": "HUGEINT",
    "uti": "UTINYINT",
    "usi": "USMALLINT",
    "ui": "UINTEGER",
    "ubi": "UBIGINT",
    "f": "FLOAT",
    "d": "DOUBLE",
    "n": "DECIMAL(15,2)",
    "n4": "DECIMAL(4,1)",
    "n38": "DECIMAL(38,10)",
    "s": "VARCHAR",
    "dt": "DATE",
    "ts": "TIMESTAMP",
    "tm": "TIME",
    "iv": "INTERVAL",
    "b": "BOOLEAN",
}

LITERALS = "1; -1; 3000000000; 10000000000000000000; 1.5; 0.05; 1e3; 1.; 00012.50; 'a'; true; -5.25; 1_000"

ARITHMETIC = """
    i+1; ti+1; ti+ti; si+1; bi+1; i+3000000000; hi+1; ubi+1; ui+1; uti+1; uti+usi; uti+ti; usi+si; usi+ti
    uti+si; ui+i
    ubi+bi; ubi+hi; ubi+i; ubi*-1; uti + -1; uti-1; ti+300; ti+(-1); ti+si; i%2; i % ti; bi % 10; i//2; ti//2; ubi//2
    hi//2; i/2; n/2; d//2; n//2; 5.5//2; -n; -i; -ti; -d; +i; i**2; i^2; d%0; n%2; i%2.5; n % n; n4 % 0.3; n % d; f+1
    f+i; f+d; f*n; f+bi; f+hi; d+n; f+1.5; i+n; n+1; 1-n; n*1; n*i; n*n; n*(1-n)*(1+n); n4+n; n4*n; n4*0.5
    n+0.5; n*ti
    n+bi; n+hi; n38+n38; n38*n38; n38*n; n38+1; n38*1; n38*i; n4*1; n4*10; n4*i; n4+1; n4+1000; n4*ti; n4*bi; 1.5*2
    1.5+2; 2*0.2; n::decimal(18,2)+n::decimal(18,2); n::decimal(18,2)*n::decimal(18,2); n::decimal(17,2)+1
    n::decimal(18,10)*n::decimal(18,10); n::decimal(20,2)*n::decimal(3,1); n::decimal(38,30)+n::decimal(38,0)
    i & 3; i | ti; xor(i, ti); i << 2; i >> 1; ~i; ti << 1; ubi & 3; bi & i; ti & 300; null+1; i+null
    mod(i,2); mod(n,2)
"""

TEMPORAL = """
    dt+1; 1+dt; dt-1; dt+i; dt+ti; dt-dt; dt+iv; dt-iv; iv+dt; ts+iv; ts-iv; ts-ts; ts-dt; dt-ts; iv+iv; iv-iv; iv*2
    2*iv; -iv; dt+tm; tm+iv; date '1995-01-01' + interval '1' month; interval '1 year 2 days'; interval 3 day
    interval (i) day; interval 2 weeks; interval 1 quarter; interval '1' year + interval 2 day; '1995-01-01' - dt
    year(dt); month(ts); extract(year from dt); extract(second from ts); extract(epoch from ts); date_part('year',dt)
    date_part('epoch', dt); extract(month from iv); extract(hour from tm); hour(dt); minute(tm); epoch(iv)
    quarter(dt)
    week(dt); dayofweek(dt); weekday(dt); isodow(dt); dayofyear(dt); millisecond(ts); microsecond(ts); epoch_ms(ts)
    epoch_us(ts); epoch_ns(ts); date_trunc('month',dt); date_trunc('month',ts); datetrunc('hour',dt)
    date_diff('day',dt,dt); date_diff('day',dt,ts); datediff('hour',tm,tm); date_add(dt, interval 1 day)
    make_date(2020,1,2); make_date(i,i,i); last_day(dt); last_day(ts); strftime(dt,'%Y'); strftime('%Y',ts)
    strptime('2020','%Y'); monthname(dt); dayname(ts); to_days(1); to_months(i); to_hours(i); current_date; today()
"""

FUNCTIONS = """
    abs(ti); abs(n); sqrt(i); round(n,1); round(n); round(n,0); round(n,5); round(n,-1); round(i); round(i,1)
    round(d,1); round(f); round(hi); round(d,i); floor(n); floor(i); ceil(n); ceil(d); floor(f); trunc(n); trunc(d)
    trunc(i); trunc(n,1); trunc(d,1); sign(i); sign(n); ln(i); exp(f); log(100); log(2,8); log10(n); cbrt(27); pi()
    isnan(d); isnan(f); isinf(d); isfinite(d); power(n,2); pow(i,i); sin(i); atan2(i,d); degrees(d)
    upper(s); upper(null); length(s); strlen(s); substring(s,1,2); substring(s,bi,2); substr(s,1); left(s,1)
    right(s,bi); trim(s); trim(s,'a'); ltrim(s); concat(s,1,null); concat_ws(',',s,1); s||i; s||s; s||dt; b||'x'
    replace(s,'a','b'); starts_with(s,'a'); prefix(s,'a'); suffix(s,'a'); contains(s,'a'); strpos(s,'a'); instr(s,'a')
    position('a' in s); reverse(s); repeat(s,3); lpad(s,3,'x'); s like 'a%'; s not like 'a'; s ilike 'A'
    s like 'a' escape '!'; regexp_matches(s,'a'); regexp_matches(s,'A','i'); regexp_full_match(s,'a')
    regexp_replace(s,'a','b','g'); regexp_extract(s,'(a)',1); split_part(s,',',1); ascii(s); chr(65); unicode(s)
    greatest(i,1.5); greatest(ti,5); greatest(ti,500); least(ti,bi); greatest(dt,ts); greatest(dt,'2021-01-01')
    coalesce(i,1.5); coalesce(i,d); coalesce(null,i); coalesce(dt,'2021-01-01'); coalesce(i,'1'); coalesce('a',null)
    coalesce(ti,5); nullif(i,1); nullif(i,1.5); nullif(n,0); nullif('a','b'); ifnull(i,1.5); if(b,1,2.5)
    case when b then 1 else 1.5 end; case when b then i end; case when b then i else bi end
    case when b then n else 0 end; case when b then n else i end; case when b then n else 0.125 end
    case when b then d else 0 end; case when b then '1' else i end; case when b then dt else ts end
    case when b then true else 1 end; case when b then ti else 1 end; case when b then ti else 300 end
    case when b then uti else ti end; case when b then ubi else bi end; case when b then f else bi end
    case when b then f else n end; case i when 1 then 'a' when 1.5 then 'b' end; case s when 'a' then 1 else 2.5 end
    cast(i as varchar); cast('12' as decimal(4,1)); i::numeric; i::decimal(5); i::real; i::int8; i::string
    b::int; n::int
    dt::timestamp; ts::date; ts::time; '1 day'::interval; try_cast(s as int)
"""

COMPARISONS = """
    i = '1'; i = 1.5; i < d; bi = f; i > '1.5'; s > 'b'; dt < '1995-01-01'; dt = ts; ts > '2020-01-01'; b = 1; b = i
    b = 'true'; n = 1.005; d = '1.5'; iv < iv; iv = '1 day'; tm < '10:00'; s = 1; i in (1, 2.5); i in ('1','2')
    s in ('a','b'); s in (1, 2); dt in ('1995-01-01'); i between 1 and 2.5; i between '1' and 2; b and 1
    not i; i is null
    i is not null; i is distinct from 1.5; b is true; null = null; i in (1, null)
"""

AGGREGATES = """
    sum(ti); sum(i); sum(bi); sum(hi); sum(ubi); sum(n); sum(n38); sum(d); sum(f); sum(b); avg(i); avg(n)
    avg(d); avg(f)
    avg(dt); avg(ts); count(*); count(); count(i); count(distinct i); min(i); min(n); max(s); max(b); min(iv)
    stddev(i)
    var_samp(n); var_pop(d); stddev_pop(f); variance(i); any_value(i); first(n); last(s); arbitrary(i); bool_and(b)
    bool_or(i>1); string_agg(s,','); string_agg(i,','); string_agg(s); group_concat(s); listagg(s); median(i)
    median(n)
    median(f); median(d); median(dt); median(ts); median(hi); median(ti); quantile_cont(i,0.5); quantile_cont(n,0.5)
    quantile_cont(f,0.5); quantile_cont(dt,0.5); quantile_disc(i,0.5); quantile_disc(n,0.5); quantile_disc(s,0.5)
    quantile(i,0.5); percentile_cont(0.5) within group (order by i); percentile_disc(0.5) within group (order by i)
    product(i); product(n); bit_and(i); bit_or(ubi); bit_xor(ti); count_if(b); countif(b); arg_min(s,i); arg_max(n,d)
    min_by(s,i); approx_count_distinct(i); mean(i); first(i order by d); sum(distinct i); sum(i) filter (where b)
    0.2*sum(i); avg(i)*0.2; sum(n)*0.0001; sum(n)/sum(n); 100.00*sum(n); sum(i)+1; sum(n)*1.5; sum(i+1)
"""


def _split(text: str) -> list[str]:
    return [part.strip() for line in text.strip().splitlines() for part in line.split(";") if part.strip()]


@pytest.fixture(scope="module")
def oracle() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    columns = ", ".join(f"{name} {dtype}" for name, dtype in COLUMNS.items())
    connection.execute(f"CREATE TABLE t ({columns})")
    return connection


@pytest.fixture(scope="module")
def catalog() -> SchemaCatalog:
    fields = tuple(Field(name, data_type(dtype)) for name, dtype in COLUMNS.items())
    return SchemaCatalog(SchemaTable("t", fields))


@pytest.mark.parametrize(
    "expression",
    _split(LITERALS)
    + _split(ARITHMETIC)
    + _split(TEMPORAL)
    + _split(FUNCTIONS)
    + _split(COMPARISONS)
    + _split(AGGREGATES),
)
def test_type_is_that_of_duckdb(
    expression: str, oracle: duckdb.DuckDBPyConnection, catalog: SchemaCatalog
) -> None:
    text = f"SELECT {expression} FROM t"
    expected = str(oracle.execute(f"{text} LIMIT 0").description[0][1])
    assert str(bind_query(text, catalog).plan.outputs[0].dtype) == expected


@pytest.mark.parametrize(
    "expression",
    [
        "s+1",
        "b+1",
        "b+b",
        "ts+1",
        "tm-tm",
        "upper(i)",
        "length(i)",
        "substring(i,1,2)",
        "i like '1%'",
        "sum(s)",
        "sum(dt)",
        "sum(iv)",
        "avg(s)",
        "avg(b)",
        "bool_and(i)",
        "count_if(i)",
        "bit_xor(d)",
        "coalesce(s, i)",
        "case when b then s else i end",
        "abs(b)",
        "abs(s)",
        "lpad(s,2)",
        "ascii(i)",
        "concat()",
        "quantile_cont(i,i)",
        "round(n, i)",
        "s < dt",
        "i & d",
    ],
)
def test_refused_as_by_duckdb(
    expression: str, oracle: duckdb.DuckDBPyConnection, catalog: SchemaCatalog
) -> None:
    text = f"SELECT {expression} FROM t"
    with pytest.raises(duckdb.Error):
        oracle.execute(text)
    with pytest.raises(BinderError) as raised:
        bind_query(text, catalog)
    assert raised.value.position is not None


UNIONS = [
    ("i", "'1'"),
    ("i", "s"),
    ("dt", "s"),
    ("i", "null"),
    ("1", "1.5"),
    ("b", "i"),
    ("ti", "uti"),
    ("n", "d"),
]


@pytest.mark.parametrize(("left", "right"), UNIONS)
def test_set_operation_type_is_that_of_duckdb(
    left: str, right: str, oracle: duckdb.DuckDBPyConnection, catalog: SchemaCatalog
) -> None:
    text = f"SELECT {left} FROM t UNION ALL SELECT {right} FROM t"
    expected = str(oracle.execute(text).description[0][1])
    assert str(bind_query(text, catalog).plan.outputs[0].dtype) == expected


NAMES = """
    i; t.i; I; i+1; i + 1*2; -i; not b; sum(i); SUM(i+1); count(*); count(distinct i); count()
    sum(i) filter (where b)
    i::bigint; T.I; ifnull(i,1); try_cast(i as varchar); case when b then 1 else 2 end
    case i when 1 then 2 end; i between 1 and 2
    i not between 1 and 2; i in (1,2); i not in (1,2); s like 'a'; s not like 'a'; s ilike 'a'; i is null
    i is not null
    'abc'; 1.5; null; true; s||'x'; i/2; i//2; i%2; i**2; i&2; i<<1; ~i; (i); (i+1); upper(s); coalesce(i,2)
    i is distinct from 1; i<>1; b and b or b; b and b and b; avg(i)/2; sum(i)*100.0/count(*); -5; 1e3; len(s); i>1
    string_agg(s,','); quantile_cont(i,0.5); regexp_matches(s,'a'); i::int; cast(i as decimal(10,2)); current_date
"""


@pytest.mark.parametrize("expression", _split(NAMES))
def test_column_name_is_that_of_duckdb(
    expression: str, oracle: duckdb.DuckDBPyConnection, catalog: SchemaCatalog
) -> None:
    text = f"SELECT {expression} FROM t"
    expected = oracle.execute(f"{text} LIMIT 0").description[0][0]
    assert bind_query(text, catalog).names == (expected,)

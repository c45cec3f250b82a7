"""ClickBench: the 43 queries on a generated table, rows as DuckDB's; how results with ties are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import gpuql
from gpuql.bench.data import suite_files
from gpuql.bench.engines import DuckDbEngine, GpuqlEngine
from gpuql.bench.hits import hits_parts
from gpuql.bench.hits_schema import HITS_TYPES
from gpuql.bench.queries import load_queries
from gpuql.bench.rows import difference
from gpuql.bench.suites import CLICKBENCH
from gpuql.bench.ties import QueryText, difference_but_ties, read_query
from gpuql.cli.main import main
from gpuql.io.write_arrays import Texts

QUERIES = load_queries("clickbench")
#: Queries that ask for groups of more rows than a small table has.
FEW_LARGE_GROUPS = {28: "count(*) > 100", 29: "count(*) > 100"}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return suite_files(CLICKBENCH, 100_000, None)


@pytest.fixture(scope="module")
def judge(files: dict[str, Path]) -> DuckDbEngine:
    engine = DuckDbEngine(1, compressed=True)
    engine.load(files, resident=True)
    return engine


@pytest.fixture(scope="module", params=["interpreted", "compiled"])
def engine(request: pytest.FixtureRequest, files: dict[str, Path]) -> Iterator[GpuqlEngine]:
    with gpuql.connect(device="cpu", threads=1, tier=request.param) as connection:
        engine = GpuqlEngine(connection)
        engine.load(files, resident=True)
        yield engine


@pytest.mark.parametrize("number", QUERIES)
def test_query(number: int, engine: GpuqlEngine, judge: DuckDbEngine) -> None:
    query = read_query(QUERIES[number])
    ours, theirs = (contender.rows(contender.execute(query.timed)) for contender in (engine, judge))
    assert difference_but_ties(query, ours, theirs) is None
    assert bool(ours) == (number not in FEW_LARGE_GROUPS)
    if number in FEW_LARGE_GROUPS:
        text = (query.total or "").replace("count(*) > 100000", FEW_LARGE_GROUPS[number])
        query = QueryText(text, text)
    if query.total is not None:
        ours, theirs = (contender.rows(contender.execute(query.total)) for contender in (engine, judge))
        assert ours
        assert difference(ours, theirs) is None


def test_every_column_is_there(engine: GpuqlEngine) -> None:
    [(number,)] = engine.rows(
        engine.execute("SELECT count(*) FROM information_schema.columns WHERE table_name = 'hits'")
    )
    assert number == len(HITS_TYPES) == 105


def test_rows_are_a_function_of_the_seed() -> None:
    [first], [again], [other] = (list(hits_parts(2_000, seed)) for seed in (1, 1, 2))
    assert list(first) == list(HITS_TYPES)
    same = []
    for name, values in first.items():
        if isinstance(values, Texts):
            repeated = again[name]
            assert isinstance(repeated, Texts)
            assert values.entries == repeated.entries
            values, repeated = values.codes, repeated.codes
        else:
            repeated, different = again[name], other[name]
            assert not isinstance(repeated, Texts)
            assert not isinstance(different, Texts)
            same.append(values.tolist() == different.tolist())
        assert values.tolist() == repeated.tolist()
    assert not all(same)


def test_rows_come_in_parts() -> None:
    parts = [part["CounterID"] for part in hits_parts(130_000)]
    assert [len(part.codes if isinstance(part, Texts) else part) for part in parts] == [122_880, 7_120]


def test_a_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    arguments = ["--rows", "3000", "--queries", "1,13,18", "--runs", "1", "--device", "cpu", "--threads", "1"]
    report = tmp_path / "report.json"
    assert main(["bench", "clickbench", *arguments, "--json", str(report)]) == 0
    output = capsys.readouterr().out
    assert "ClickBench 3,000 rows, tables in memory" in output
    assert "3 of 3 queries: same rows" in output
    assert '"rows": 3000' in report.read_text()
    assert [path.name for path in (tmp_path / "gpuql" / "clickbench").iterdir()] == ["rows3000"]


def test_comments_on_ties() -> None:
    query = read_query("SELECT a, b FROM t\nORDER BY b DESC /* ties on 2: , a */\nLIMIT 3")
    assert query.timed == "SELECT a, b FROM t\nORDER BY b DESC\nLIMIT 3"
    assert query.total == "SELECT a, b FROM t\nORDER BY b DESC, a\nLIMIT 3"
    assert query.key == 1
    query = read_query("SELECT a FROM t\n/* ties: ORDER BY a */\nLIMIT 3")
    assert query == QueryText("SELECT a FROM t\nLIMIT 3", "SELECT a FROM t\nORDER BY a\nLIMIT 3")
    assert read_query("SELECT 1 /* one */") == QueryText("SELECT 1 /* one */")


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ([("a", 9), ("b", 5), ("c", 1)], [("a", 9), ("b", 5), ("d", 1)], True),
        ([("a", 9), ("b", 5), ("c", 1)], [("a", 9), ("x", 5), ("c", 1)], False),
        ([("a", 9), ("b", 5), ("c", 1)], [("a", 9), ("b", 5), ("c", 2)], False),
        ([("a", 9)], [("b", 9)], True),
        ([("a", 9)], [], False),
        ([], [], True),
    ],
)
def test_rows_with_ties(left: list[tuple[str, int]], right: list[tuple[str, int]], *, same: bool) -> None:
    assert (difference_but_ties(QueryText("", "", 1), left, right) is None) is same


def test_rows_whose_sort_key_is_not_shown_are_counted() -> None:
    query = QueryText("", "")
    assert difference_but_ties(query, [(1,)], [(2,)]) is None
    assert difference_but_ties(query, [(1,)], []) == "1 rows against 0"
    assert difference_but_ties(QueryText(""), [(1,)], [(2,)]) is not None

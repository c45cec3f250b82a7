import pytest
from sqlglot import exp

from gpuql_planner.errors import NotSupportedError, ParserError, Position
from gpuql_planner.sql.parse import is_volatile, parse_statements


def test_statements_are_split_at_semicolons() -> None:
    parsed = parse_statements("SELECT 1; ;\nSELECT ';' -- two; comments\n; /* ; */")
    assert [statement.command for statement in parsed] == ["statement", "statement"]


@pytest.mark.parametrize("text", ["", "  \n", ";", " ; ; ", "-- nothing", "/* nothing */"])
def test_empty_text_has_no_statements(text: str) -> None:
    assert parse_statements(text) == []


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("EXPLAIN SELECT 1", "plan"),
        ("explain analyze select 1", "analyze"),
        ("EXPLAIN (CODEGEN)\n SELECT 1", "codegen"),
        ("explain (analyze) select 1", "analyze"),
    ],
)
def test_explain_modes(text: str, mode: str) -> None:
    [parsed] = parse_statements(text)
    assert (parsed.command, parsed.mode) == ("explain", mode)
    assert parsed.inner is not None
    assert parsed.inner.command == "statement"


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("SELECT * FROM t WHERE\n  x = = 1", 2, 7),
        ("SELECT 1 FROM t WHERE", 1, 17),
        ("SELECT (1", 1, 9),
        ("SELECT 1;\nSELECT 'abc", 2, 8),
        ('SELECT "abc', 1, 8),
        ("EXPLAIN ANALYZE\nSELECT 1 FROM t WHERE x = = 2", 2, 27),
    ],
)
def test_syntax_errors_point_at_the_place(text: str, line: int, column: int) -> None:
    with pytest.raises(ParserError) as raised:
        parse_statements(text)
    assert raised.value.position == Position(line, column)
    assert str(raised.value).splitlines()[2].endswith("^")


@pytest.mark.parametrize("text", ["EXPLAIN", "EXPLAIN ANALYZE", "EXPLAIN (FOO) SELECT 1", "SELECT /* open"])
def test_other_syntax_errors(text: str) -> None:
    with pytest.raises(ParserError):
        parse_statements(text)


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    with pytest.raises(ParserError, match="nested too deeply"):
        parse_statements("SELECT " + "(" * 20_000 + "1" + ")" * 20_000)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("SELECT f($1,$2)", ["1", "2"]),
        ("SELECT $a||'-'||$b", ["a", "b"]),
        ("SELECT $n, ''", ["n"]),
        ("SELECT a$b, $n FROM t", ["n"]),
        ("SELECT '$x', \"$y\", $n -- $z", ["n"]),
        (r"SELECT e'\'$x', $n", ["n"]),
        ("SELECT $$ $x $$, $q$ '$y $z$ $q$, $n", ["n"]),
    ],
)
def test_parameters_with_a_dollar_sign(text: str, names: list[str]) -> None:
    (parsed,) = parse_statements(text)
    assert parsed.tree is not None
    found = sorted(parsed.tree.find_all(exp.Placeholder), key=lambda node: int(node.meta["start"]))
    assert [str(node.this) for node in found] == names
    assert [text[node.meta["start"] - 1] for node in found] == ["$"] * len(names)


def test_texts_that_ask_for_the_time_are_volatile() -> None:
    assert is_volatile("SELECT now()")
    assert is_volatile("select Current_Date")
    assert not is_volatile("SELECT known FROM t")


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("SELECT 1,,2", 9),
        ("SELECT ,1", 1),
        ("SELECT 1 AS", 10),
        ("SELECT (1 AS)", 11),
        ("SELECT a FROM t GROUP BY", 17),
        ("SELECT f(,1)", 9),
    ],
)
def test_gaps_are_not_read_over(text: str, column: int) -> None:
    with pytest.raises(ParserError, match="something is missing here") as raised:
        parse_statements(text)
    assert raised.value.position == Position(1, column)


def test_keywords_as_names_ask_for_quotes() -> None:
    with pytest.raises(ParserError, match='double quotes: "glob"'):
        parse_statements("SELECT * FROM glob")


def test_a_comma_after_the_last_item_is_allowed() -> None:
    assert len(parse_statements("SELECT 1, FROM t")) == 1


@pytest.mark.parametrize(
    ("text", "word", "column", "hint"),
    [
        ("SELEC 1", "SELEC", 1, "did you mean SELECT?"),
        ("SELECT 1; UPDTE t SET a = 1", "UPDTE", 11, "did you mean UPDATE?"),
        ("EXPLAIN hello dear table", "hello", 9, None),
    ],
)
def test_misspelt_first_words(text: str, word: str, column: int, hint: str | None) -> None:
    with pytest.raises(ParserError, match=f"no statement begins with '{word}'") as caught:
        parse_statements(text)
    assert (caught.value.position, caught.value.hint) == (Position(1, column), hint)


@pytest.mark.parametrize("word", ["ATTACH", "DETACH", "INSTALL", "LOAD", "GRANT", "LOCK"])
def test_statements_of_other_databases_are_named(word: str) -> None:
    with pytest.raises(NotSupportedError, match=f"statement not supported: {word}") as caught:
        parse_statements(f"SELECT 1; {word} something 'x'")
    assert caught.value.position == Position(1, 11)

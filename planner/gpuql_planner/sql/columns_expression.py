"""COLUMNS(...) and filters on ``*``: expressions that stand for one of their kind for each column.

Trees are copied, never changed: a WITH table may be bound more than once.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sqlglot import exp

from gpuql_planner.errors import BinderError
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.sql.context import BindContext
from gpuql_planner.sql.parse import UNPACKED
from gpuql_planner.statement_errors import InvalidParameterValue, NoMatchingFunction, UndefinedColumn

#: Meta entry of a column node that stands for an attribute and not for a name.
ATTRIBUTE = "attribute"

_NAME_FILTERS = (exp.Like, exp.ILike, exp.SimilarTo, exp.Glob)


@dataclass(frozen=True)
class MatchedColumn:
    """A column that COLUMNS stands for: its name, its tree, and its alias pattern's groups."""

    name: str
    tree: exp.Expr
    groups: tuple[str, ...]


#: Columns of ``*`` or ``t.*`` with its EXCLUDE, REPLACE and RENAME, as names and trees.
StarColumns = Callable[[exp.Expr], list[tuple[str, exp.Expr]]]


def column_of(attribute: Attribute, name: str) -> exp.Column:
    """A tree that names an attribute, whatever other columns are called."""
    column = exp.Column(this=exp.Identifier(this=name, quoted=True))
    column.meta[ATTRIBUTE] = attribute
    return column


def is_columns(node: exp.Expr) -> bool:
    """Whether a node is a call of COLUMNS."""
    return isinstance(node, exp.Anonymous) and str(node.name).lower() == "columns"


def has_columns(node: exp.Expr) -> bool:
    """Whether COLUMNS stands in a tree outside its subqueries."""
    return next(_calls(node), None) is not None


def _calls(node: exp.Expr) -> Iterator[exp.Expr]:
    walked = node.walk(bfs=False, prune=lambda part: is_columns(part) or isinstance(part, exp.Query))
    return filter(is_columns, walked)


def is_star_filter(node: exp.Expr) -> bool:
    """``* LIKE 'a%'`` and the like."""
    inner = node.this if isinstance(node, exp.Not) else node
    return isinstance(inner, _NAME_FILTERS) and is_star(inner.this)


def is_star(node: exp.Expr | None) -> bool:
    """``*`` or ``t.*``."""
    return isinstance(node, exp.Star) or (isinstance(node, exp.Column) and isinstance(node.this, exp.Star))


def filtered_star(context: BindContext, node: exp.Expr, star: StarColumns) -> list[tuple[str, exp.Expr]]:
    """Columns whose names a filter on ``*`` lets through."""
    inner, negated = (node.this, True) if isinstance(node, exp.Not) else (node, False)
    negated = negated != bool(inner.args.get("negate"))
    pattern = inner.expression
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise context.error(BinderError, "pattern of a filter on * must be a constant text", pattern)
    context.depend_on_constants(pattern)
    matches = _matcher(context, inner, str(pattern.this))
    found = [(name, tree) for name, tree in star(inner.this) if matches(name) != negated]
    if not found:
        raise context.error(UndefinedColumn, f"no column matches: {pattern.this}", node)
    return found


def expanded(context: BindContext, node: exp.Expr, star: StarColumns) -> list[tuple[MatchedColumn, exp.Expr]]:
    """The tree once for each column of its COLUMNS calls, which all must be the same one."""
    node = unpacked(context, node, star)
    calls = list(_calls(node))
    if not calls:
        return [(MatchedColumn("", node, ()), node)]
    if any(call != calls[0] for call in calls):
        raise context.error(BinderError, "different COLUMNS in one expression", calls[1])
    results: list[tuple[MatchedColumn, exp.Expr]] = []
    for column in _matched(context, calls[0], star):
        copy = node.copy()
        for call in list(_calls(copy)):
            replacement = column.tree.copy()
            if call is copy:
                copy = replacement
            else:
                call.replace(replacement)
        results.append((column, copy))
    return results


def unpacked(context: BindContext, node: exp.Expr, star: StarColumns) -> exp.Expr:
    """The tree with each ``*COLUMNS(...)`` written out as arguments."""
    if not any(UNPACKED in call.meta for call in _calls(node)):
        return node
    if UNPACKED in node.meta:
        raise context.error(BinderError, "*COLUMNS stands for arguments of a function only", node)
    copy = node.copy()
    for call in list(_calls(copy)):
        if UNPACKED in call.meta:
            call.replace([column.tree.copy() for column in _matched(context, call, star)])
    return copy


def alias_of(pattern: str, column: MatchedColumn) -> str:
    r"""An alias with ``\0`` replaced by the column's name, ``\1`` by what the first group matched, and so on."""

    def group(found: re.Match[str]) -> str:
        number = int(found[1])
        if number == 0:
            return column.name
        return column.groups[number - 1] if number <= len(column.groups) else ""

    return re.sub(r"\\(\d)", group, pattern)


def _matched(context: BindContext, call: exp.Expr, star: StarColumns) -> list[MatchedColumn]:
    argument = call.expressions[0] if len(call.expressions) == 1 else None
    if argument is None:
        raise context.error(NoMatchingFunction, "COLUMNS takes one argument", call)
    if is_star(argument):
        return [MatchedColumn(name, tree, ()) for name, tree in star(argument)]
    if is_star_filter(argument):
        return [MatchedColumn(name, tree, ()) for name, tree in filtered_star(context, argument, star)]
    context.depend_on_constants(argument)
    everything = star(exp.Star())
    if isinstance(argument, exp.Literal) and argument.is_string:
        found = _by_pattern(context, str(argument.this), everything, call)
    elif isinstance(argument, exp.Array):
        found = _by_names(context, argument, everything)
    elif isinstance(argument, exp.Lambda):
        found = [MatchedColumn(n, tree, ()) for n, tree in everything if _holds(context, argument, n)]
    else:
        raise context.unsupported("COLUMNS of anything but *, a regular expression, names or a lambda", call)
    if not found:
        raise context.error(UndefinedColumn, f"no column matches: {argument.sql('duckdb')}", call)
    return found


def _by_pattern(
    context: BindContext, text: str, columns: list[tuple[str, exp.Expr]], call: exp.Expr
) -> list[MatchedColumn]:
    pattern = _compiled(context, text, call)
    matches = ((name, tree, pattern.search(name)) for name, tree in columns)
    return [
        MatchedColumn(name, tree, tuple(group or "" for group in match.groups()))
        for name, tree, match in matches
        if match is not None
    ]


def _by_names(
    context: BindContext, names: exp.Array, columns: list[tuple[str, exp.Expr]]
) -> list[MatchedColumn]:
    wanted: dict[str, exp.Expr] = {}
    for item in names.expressions:
        if not (isinstance(item, exp.Literal) and item.is_string):
            raise context.error(BinderError, "names of COLUMNS must be constant texts", item)
        wanted[str(item.this).lower()] = item
    found = [MatchedColumn(name, tree, ()) for name, tree in columns if name.lower() in wanted]
    known = {column.name.lower() for column in found}
    for name, item in wanted.items():
        if name not in known:
            raise context.error(UndefinedColumn, f"column not found: {name}", item)
    return found


def _compiled(context: BindContext, text: str, node: exp.Expr, flags: int = 0) -> re.Pattern[str]:
    try:
        return re.compile(text, flags)
    except re.error as error:
        raise context.error(InvalidParameterValue, f"regular expression is wrong: {error}", node) from None


def _matcher(context: BindContext, node: exp.Expr, text: str) -> Callable[[str], bool]:
    """Test of a name by LIKE, ILIKE, SIMILAR TO or GLOB."""
    if isinstance(node, exp.Glob):
        pattern = re.compile(fnmatch.translate(text))
    elif isinstance(node, exp.SimilarTo):
        pattern = _compiled(context, text, node)
    else:
        wildcards = {"%": ".*", "_": "."}
        written = "".join(wildcards.get(character, re.escape(character)) for character in text)
        pattern = re.compile(written, re.DOTALL | (re.IGNORECASE if isinstance(node, exp.ILike) else 0))
    return lambda name: pattern.fullmatch(name) is not None


# --- lambdas over names ----------------------------------------------------------------------------------------------

Value = str | int | bool

_COMPARED: dict[type[exp.Expr], Callable[[Value, Value], bool]] = {
    exp.EQ: lambda one, other: one == other,
    exp.NEQ: lambda one, other: one != other,
    exp.LT: lambda one, other: one < other,  # type: ignore[operator]
    exp.LTE: lambda one, other: one <= other,  # type: ignore[operator]
    exp.GT: lambda one, other: one > other,  # type: ignore[operator]
    exp.GTE: lambda one, other: one >= other,  # type: ignore[operator]
}
_FUNCTIONS: dict[tuple[str, int], Callable[..., Value]] = {
    ("lower", 1): str.lower,
    ("upper", 1): str.upper,
    ("length", 1): len,
    ("len", 1): len,
    ("contains", 2): lambda text, part: part in text,
    ("starts_with", 2): str.startswith,
    ("prefix", 2): str.startswith,
    ("ends_with", 2): str.endswith,
    ("suffix", 2): str.endswith,
    ("regexp_matches", 2): lambda text, pattern: re.search(pattern, text) is not None,
    ("regexp_full_match", 2): lambda text, pattern: re.fullmatch(pattern, text) is not None,
}


def _holds(context: BindContext, function: exp.Lambda, name: str) -> bool:
    """Value of a lambda's condition for a column's name."""
    if len(function.expressions) != 1:
        raise context.error(NoMatchingFunction, "lambda of COLUMNS takes one name", function)
    parameter = str(function.expressions[0].name)
    try:
        return _value(context, function.this, parameter, name) is True
    except (TypeError, re.error) as error:
        raise context.error(BinderError, f"condition of COLUMNS is wrong: {error}", function) from None


def _value(context: BindContext, node: exp.Expr, parameter: str, name: str) -> Value:
    def value(part: exp.Expr) -> Value:
        return _value(context, part, parameter, name)

    match node:
        case exp.Identifier() | exp.Column() if node.name.lower() == parameter.lower():
            return name
        case exp.Literal():
            return str(node.this) if node.is_string else int(node.this)
        case exp.Boolean():
            return bool(node.this)
        case exp.Paren():
            return value(node.this)
        case exp.Not():
            return value(node.this) is not True
        case exp.And():
            return value(node.this) is True and value(node.expression) is True
        case exp.Or():
            return value(node.this) is True or value(node.expression) is True
        case exp.In() if node.expressions:
            return value(node.this) in [value(option) for option in node.expressions]
        case exp.Like() | exp.ILike() | exp.SimilarTo() | exp.Glob():
            matches = _matcher(context, node, str(value(node.expression)))
            return matches(str(value(node.this))) != bool(node.args.get("negate"))
        case exp.StartsWith():
            return str(value(node.this)).startswith(str(value(node.expression)))
        case exp.Anonymous():
            known = _FUNCTIONS.get((str(node.name).lower(), len(node.expressions)))
            if known is not None:
                return known(*(str(value(part)) for part in node.expressions))
        case _ if type(node) in _COMPARED:
            return _COMPARED[type(node)](value(node.this), value(node.expression))
    raise context.unsupported(f"{node.sql('duckdb')} in a lambda of COLUMNS", node)

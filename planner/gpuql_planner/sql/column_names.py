"""Names of result columns that have no alias, in DuckDB's form: ``sum((a + b))``, ``count_star()``."""

from __future__ import annotations

from sqlglot import exp

_BINARY: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.IntDiv: "//",
    exp.Mod: "%",
    exp.Pow: "**",
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.DPipe: "||",
    exp.Like: "~~",
    exp.ILike: "~~*",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}


_TYPE_NAMES = {"INT": "INTEGER", "TEXT": "VARCHAR", "REAL": "FLOAT", "INT128": "HUGEINT"}


def column_name(node: exp.Expr) -> str:
    """Name of a select item: its alias, its column's name, or its expression written out."""
    if isinstance(node, exp.Alias):
        return str(node.alias)
    if isinstance(node, exp.Column):
        return str(node.name)
    return _written(node)


def _type_name(node: exp.Expr) -> str:
    name = node.sql("duckdb")
    return _TYPE_NAMES.get(name, name)


def _list(nodes: list[exp.Expr]) -> str:
    return ", ".join(map(_written, nodes))


def _written(node: exp.Expr) -> str:
    match node:
        case exp.Column():
            return ".".join(part.name for part in node.parts)
        case exp.Paren():
            return (
                str(node.meta["written"]) if node._meta and "written" in node._meta else _written(node.this)
            )
        case exp.Literal():
            return f"'{node.this}'" if node.is_string else str(node.this)
        case exp.Null():
            return "NULL"
        case exp.Boolean():
            return "true" if node.this else "false"
        case exp.Neg():
            inner = node.this.unnest()
            return f"-{inner.this}" if isinstance(inner, exp.Literal) else f"(-({_written(inner)}))"
        case exp.BitwiseNot():
            return f"(~({_written(node.this)}))"
        case exp.Not():
            inner = node.this
            if isinstance(inner, exp.Is) and isinstance(inner.expression, exp.Null):
                return f"({_written(inner.this)} IS NOT NULL)"
            return f"(NOT {_written(inner)})"
        case exp.Is():
            return f"({_written(node.this)} IS {_written(node.expression)})"
        case exp.And() | exp.Or():
            word = " AND " if isinstance(node, exp.And) else " OR "
            return f"({word.join(_written(part) for part in node.flatten())})"
        case exp.Between():
            low, high = _written(node.args["low"]), _written(node.args["high"])
            return f"({_written(node.this)} BETWEEN {low} AND {high})"
        case exp.In() if node.expressions:
            return f"({_written(node.this)} IN ({_list(node.expressions)}))"
        case exp.Cast():
            word = "TRY_CAST" if isinstance(node, exp.TryCast) else "CAST"
            return f"{word}({_written(node.this)} AS {_type_name(node.to)})"
        case exp.Case():
            return _written_case(node)
        case exp.Anonymous():
            return _written_call(node)
        case exp.Distinct():
            return f"DISTINCT {_list(node.expressions)}"
        case exp.Filter():
            return f"{_written(node.this)} FILTER (WHERE {_written(node.expression.this)})"
        case exp.Extract():
            return f"date_part('{node.name.lower()}', {_written(node.expression)})"
        case exp.Substring():
            parts = [node.this, node.args.get("start"), node.args.get("length")]
            return f"substring({_list([part for part in parts if part is not None])})"
        case exp.Coalesce():
            return f"COALESCE({_list([node.this, *node.expressions])})"
        case exp.Trim() if str(node.args.get("position") or "BOTH") == "BOTH":
            return f"trim({_list([part for part in (node.this, node.expression) if part is not None])})"
        case exp.StrPosition():
            return f"position({_list([node.this, node.args['substr']])})"
        case exp.RegexpLike():
            return f"regexp_matches({_list([node.this, node.expression])})"
        case exp.Window():
            return _written_window(node)
        case exp.IgnoreNulls() | exp.RespectNulls():
            return _written(node.this)
        case exp.Order():
            before = "" if node.this is None else f"{_written(node.this)} "
            return f"{before}ORDER BY {_list(node.expressions)}"
        case exp.Ordered():
            return _written_key(node)
        case exp.CurrentDate():
            return "current_date"
        case _ if type(node) in _BINARY:
            operator = (
                "!~~" if isinstance(node, exp.Like) and node.args.get("negate") else _BINARY[type(node)]
            )
            return f"({_written(node.this)} {operator} {_written(node.expression)})"
        case _:
            return str(node.sql("duckdb", normalize_functions=False))


def _written_key(node: exp.Ordered) -> str:
    direction = {None: "", False: " ASC", True: " DESC"}[node.args.get("desc")]
    return f"{_written(node.this)}{direction}{' NULLS FIRST' if node.args.get('nulls_first') else ''}"


_POSITIONAL = {"first": "first_value", "last": "last_value"}


def _written_window(node: exp.Window) -> str:
    call, condition, treatment = node.this, "", ""
    while not isinstance(call, exp.Anonymous):
        if isinstance(call, exp.Filter):
            condition = f" FILTER (WHERE {_written(call.expression.this)})"
        if isinstance(call, exp.IgnoreNulls):
            treatment = " IGNORE NULLS"
        if not isinstance(call.this, exp.Expr):
            return str(node.sql("duckdb", normalize_functions=False))
        call = call.this
    if any(isinstance(argument, exp.IgnoreNulls) for argument in call.expressions):
        treatment = " IGNORE NULLS"
    name = str(call.name).lower()
    arguments = [argument for argument in call.expressions if not isinstance(argument, exp.Star)]
    parts = []
    if node.args.get("partition_by"):
        parts.append(f"PARTITION BY {_list(node.args['partition_by'])}")
    if node.args.get("order") is not None:
        parts.append(f"ORDER BY {_list(node.args['order'].expressions)}")
    if node.args.get("spec") is not None:
        parts.append(_written_frame(node.args["spec"]))
    inside = f"{_POSITIONAL.get(name, name)}({_list(arguments)}{treatment})"
    return f"{inside}{condition} OVER ({' '.join(part for part in parts if part)})"


def _written_frame(spec: exp.WindowSpec) -> str:
    def bound(end: str) -> str:
        value = spec.args.get(end)
        if value is None or (isinstance(value, str) and value == "CURRENT ROW"):
            return "CURRENT ROW"
        written = value if isinstance(value, str) else _written(value)
        return f"{written} {str(spec.args.get(f'{end}_side')).upper()}"

    text = f"{str(spec.args.get('kind')).upper()} BETWEEN {bound('start')} AND {bound('end')}"
    exclude = "" if spec.args.get("exclude") is None else str(spec.args["exclude"].name).upper()
    if text == "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW" and exclude in ("", "NO OTHERS"):
        return ""
    return text if exclude in ("", "NO OTHERS") else f"{text} EXCLUDE {exclude}"


def _written_call(node: exp.Anonymous) -> str:
    name = str(node.name).lower()
    arguments = list(node.expressions)
    if name == "count" and (not arguments or isinstance(arguments[0], exp.Star)):
        return "count_star()"
    if name in ("grouping", "grouping_id"):
        return f"GROUPING({_list(arguments)})"
    return f"{'COALESCE' if name in ('coalesce', 'ifnull') else name}({_list(arguments)})"


def _written_case(node: exp.Case) -> str:
    operand = f"{_written(node.this)} = " if node.this else ""
    branches = "".join(
        f" WHEN ({f'({operand}{_written(branch.this)})' if operand else _written(branch.this)})"
        f" THEN ({_written(branch.args['true'])})"
        for branch in node.args["ifs"]
    )
    default = node.args.get("default")
    return f"CASE {branches} ELSE {_written(default) if default is not None else 'NULL'} END"

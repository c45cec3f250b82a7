"""Which names mean what: relations of a FROM clause, their columns, and the scopes around them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from sqlglot import exp

from gpuql_planner.errors import did_you_mean
from gpuql_planner.logical.expressions import Attribute
from gpuql_planner.statement_errors import AmbiguousColumn, RepeatedAlias, UndefinedColumn


@dataclass(frozen=True)
class ScopeColumn:
    """A column as named in a scope."""

    name: str
    attribute: Attribute


@dataclass
class Relation:
    """One item of a FROM clause under its alias. ``hidden`` columns are left out of ``*`` (merged by USING).

    ``schema`` is that of a table without an alias, other than main; empty for anything else.
    """

    name: str
    columns: tuple[ScopeColumn, ...]
    hidden: frozenset[str] = frozenset()
    schema: str = ""

    def find(self, folded: str) -> ScopeColumn | None:
        """First column of that folded name."""
        for column in self.columns:
            if column.name.lower() == folded:
                return column
        return None

    def as_nullable(self) -> Relation:
        """The relation as seen above an outer join that may fill it with NULLs."""
        columns = tuple(ScopeColumn(c.name, replace(c.attribute, nullable=True)) for c in self.columns)
        return Relation(self.name, columns, self.hidden, self.schema)


@dataclass
class Scope:
    """Relations visible to an expression, and the scope around it.

    ``merged`` holds the columns of USING by folded name; ``replaced`` maps the left column of a RIGHT or FULL join's
    USING to the merged one that ``*`` shows. ``captured`` lists the attributes that inner scopes took from this one:
    correlated references. ``nodes`` remembers where an attribute was last named, for messages.
    """

    relations: list[Relation] = field(default_factory=list)
    parent: Scope | None = None
    merged: dict[str, Attribute] = field(default_factory=dict)
    replaced: dict[Attribute, Attribute] = field(default_factory=dict)
    nodes: dict[Attribute, exp.Expr] = field(default_factory=dict)
    captured: list[tuple[Attribute, exp.Expr]] = field(default_factory=list)

    def find_local(self, name: str, table: str | None) -> Attribute | None:
        """Attribute of ``[table.]name`` in this scope alone; None if unknown, BinderError if ambiguous."""
        folded = name.lower()
        if table is not None:
            return self._find_qualified(folded, table.lower())
        if folded in self.merged:
            return self.merged[folded]
        matches = [
            (relation, column) for relation in self.relations if (column := relation.find(folded)) is not None
        ]
        if len(matches) > 1:
            options = [f"{relation.name}.{name}" for relation, _ in matches]
            raise AmbiguousColumn(f"ambiguous column name: {name}", hint=f"use {' or '.join(options)}")
        return matches[0][1].attribute if matches else None

    def _find_qualified(self, folded: str, table: str) -> Attribute | None:
        for relation in self.relations:
            if relation.name.lower() == table:
                column = relation.find(folded)
                if column is None:
                    known = [c.name for c in relation.columns]
                    raise UndefinedColumn(
                        f"column not found in table {relation.name}: {folded}",
                        hint=did_you_mean(folded, known),
                    )
                return column.attribute
        return None

    def find_outer(self, name: str, table: str | None, node: exp.Expr) -> Attribute | None:
        """Attribute of a scope around this one; noted there as captured."""
        scope = self.parent
        while scope is not None:
            attribute = scope.find_local(name, table)
            if attribute is not None:
                scope.captured.append((attribute, node))
                return attribute
            scope = scope.parent
        return None

    def relation(self, name: str) -> Relation | None:
        """Relation of that alias (case-insensitive) in this scope."""
        folded = name.lower()
        return next((r for r in self.relations if r.name.lower() == folded), None)

    def attributes(self) -> Iterable[Attribute]:
        """All attributes of all relations."""
        for relation in self.relations:
            for column in relation.columns:
                yield column.attribute

    def column_names(self) -> list[str]:
        """Every column name known here or further out, for did-you-mean."""
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            names.extend(column.name for relation in scope.relations for column in relation.columns)
            scope = scope.parent
        return names

    def relation_names(self) -> list[str]:
        """Every relation name known here or further out."""
        names: list[str] = []
        scope: Scope | None = self
        while scope is not None:
            names.extend(relation.name for relation in scope.relations)
            scope = scope.parent
        return names

    def add(self, relation: Relation) -> None:
        """Add a relation; BinderError if its alias is taken."""
        if relation.name and self.relation(relation.name) is not None:
            raise RepeatedAlias(
                f"table name used twice: {relation.name}", hint="give one of them another alias with AS"
            )
        self.relations.append(relation)


def relation_of(name: str, names: Iterable[str], attributes: Iterable[Attribute]) -> Relation:
    """Relation whose columns are ``names`` over ``attributes``, in order.

    Repeated names get a suffix (``a``, ``a_1``), as DuckDB gives the columns of a subquery.
    """
    columns: list[ScopeColumn] = []
    taken: set[str] = set()
    for column_name, attribute in zip(names, attributes, strict=True):
        unique, count = column_name, 0
        while unique.lower() in taken:
            count += 1
            unique = f"{column_name}_{count}"
        taken.add(unique.lower())
        columns.append(ScopeColumn(unique, attribute))
    return Relation(name, tuple(columns))

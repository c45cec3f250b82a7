"""Syntax of DuckDB's statements about tables and transactions that sqlglot's grammar does not read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from sqlglot import exp
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

_TRANSACTION_STATEMENTS = {
    **{(word,): "begin" for word in ("BEGIN", "START")},
    **{(word,): "commit" for word in ("COMMIT", "END")},
    **{(word,): "rollback" for word in ("ROLLBACK", "ABORT")},
}


def transaction_statement(tokens: Sequence[Token]) -> str | None:
    """begin, "begin read only", commit or rollback if the tokens are such a statement; None otherwise."""
    words = [token.text.upper() for token in tokens]
    kind = _TRANSACTION_STATEMENTS.get((words[0],))
    rest = tuple(words[1:])
    if kind is None or (words[0] == "START" and rest[:1] != ("TRANSACTION",)):
        return None
    if rest[:1] in (("TRANSACTION",), ("WORK",)):
        rest = rest[1:]
    if kind == "begin" and rest in (("READ", "ONLY"), ("READ", "WRITE")):
        return "begin read only" if rest[1] == "ONLY" else "begin"
    return kind if not rest else None


def without_by_position(tokens: Sequence[Token]) -> list[Token]:
    """The tokens of an INSERT without its BY POSITION, which is what INSERT does anyway."""
    words = [token.text.upper() for token in tokens]
    if "INSERT" in words:
        start = words.index("INSERT")
        for index in range(start, len(words) - 1):
            if words[index] in ("SELECT", "VALUES", "FROM", "WITH"):
                break
            if words[index : index + 2] == ["BY", "POSITION"]:
                return [*tokens[:index], *tokens[index + 2 :]]
    return list(tokens)


class ChangeGrammar(DuckDBParser):
    """Generated columns, MERGE, and ALTER TABLE as DuckDB reads them."""

    ALTER_DROP_REQUIRES_COLUMN: ClassVar[bool] = False
    ALTER_RENAME_REQUIRES_COLUMN: ClassVar[bool] = False

    def _parse_generated_as_identity(
        self,
    ) -> (
        exp.GeneratedAsIdentityColumnConstraint
        | exp.ComputedColumnConstraint
        | exp.GeneratedAsRowColumnConstraint
    ):
        """GENERATED ALWAYS AS (expression) [VIRTUAL | STORED]; the meta entry "stored" says which."""
        constraint = super()._parse_generated_as_identity()
        if self._match_text_seq("STORED"):
            constraint.meta["stored"] = True
        else:
            self._match_text_seq("VIRTUAL")
        return constraint

    def _parse_when_matched(self) -> exp.Whens:
        """WHEN clauses of a MERGE.

        What to do is an ``Insert`` or ``Update``, whose parts are in ``this`` (columns) and ``expression`` (values) or
        in ``expressions`` (assignments), or a ``Var``; meta entries say the rest: ``by_name``, ``defaults``.
        """
        whens: list[exp.Expr] = []
        while self._match(TokenType.WHEN):
            start = self._prev
            is_matched = not self._match(TokenType.NOT)
            if not self._match_text_seq("MATCHED"):
                self.raise_error("Expected MATCHED")
            by_source = False
            if not is_matched and self._match_text_seq("BY"):
                by_source = bool(self._match_text_seq("SOURCE"))
                if not by_source and not self._match_text_seq("TARGET"):
                    self.raise_error("Expected SOURCE or TARGET")
            condition = self._parse_disjunction() if self._match(TokenType.AND) else None
            if not self._match(TokenType.THEN):
                self.raise_error("Expected THEN")
            when = exp.When(
                matched=is_matched, source=by_source, condition=condition, then=self._parse_merge_action()
            )
            whens.append(self.expression(when, start))
        if not whens:
            self.raise_error("Expected WHEN")
        return self.expression(exp.Whens(expressions=whens))

    def _parse_merge_action(self) -> exp.Expr:
        start = self._curr
        if self._match(TokenType.INSERT):
            return self.expression(self._parse_merge_insert(), start)
        if self._match(TokenType.UPDATE):
            return self.expression(self._parse_merge_update(), start)
        if self._match(TokenType.DELETE):
            return self.expression(exp.Var(this="DELETE"), start)
        if self._match_text_seq("DO", "NOTHING"):
            return self.expression(exp.Var(this="DO NOTHING"), start)
        if self._match_text_seq("ERROR"):
            ends = self._curr is None or self._curr.text.upper() in ("WHEN", "RETURNING")
            message = None if ends else self._parse_disjunction()
            action = self.expression(exp.Var(this="ERROR"), start)
            action.set("expression", message)
            return action
        self.raise_error("Expected INSERT, UPDATE, DELETE, DO NOTHING or ERROR")
        raise AssertionError("an error was raised")

    def _parse_merge_insert(self) -> exp.Insert:
        insert = exp.Insert()
        if self._match_text_seq("BY", "NAME"):
            insert.meta["by_name"] = True
        elif self._match_text_seq("DEFAULT", "VALUES"):
            insert.meta["defaults"] = True
            return insert
        elif not self._match_text_seq("BY", "POSITION") and self._match(TokenType.STAR):
            return insert
        if self._match(TokenType.L_PAREN):
            columns = self._parse_csv(self._parse_id_var)
            self._match_r_paren()
            insert.set("this", exp.Tuple(expressions=columns))
        if self._match_text_seq("VALUES"):
            insert.set("expression", self._parse_value())
        return insert

    def _parse_merge_update(self) -> exp.Update:
        update = exp.Update()
        if self._match_text_seq("BY", "NAME"):
            update.meta["by_name"] = True
        elif self._match_text_seq("BY", "POSITION") or not self._match(TokenType.SET):
            return update
        elif not self._match(TokenType.STAR):
            update.set("expressions", self._parse_csv(self._parse_equality))
        return update

"""Kinds of :class:`BinderError`, :class:`CatalogError` and others that have an SQLSTATE of their own.

Codes are PostgreSQL's (Appendix A of its manual), whose clients know them; names follow its condition names.
"""

from __future__ import annotations

from gpuql_planner.errors import (
    BinderError,
    CatalogError,
    ConversionError,
    DataError,
    InputError,
    InterfaceError,
    ParserError,
    TransactionStateError,
)


class UndefinedColumn(BinderError):
    """No column of that name."""

    sqlstate = "42703"


class AmbiguousColumn(BinderError):
    """Several columns of that name."""

    sqlstate = "42702"


class RepeatedColumn(BinderError):
    """A column that a list names twice."""

    sqlstate = "42701"


class MissingFromEntry(BinderError):
    """A table that is named but does not stand in FROM."""

    sqlstate = "42P01"


class RepeatedAlias(BinderError):
    """Two tables, or two WITH tables, of one name."""

    sqlstate = "42712"


class GroupingError(BinderError):
    """A column that is no group key, or an aggregate where none may stand."""

    sqlstate = "42803"


class WindowingError(BinderError):
    """A window function where none may stand, or a window or frame that means nothing."""

    sqlstate = "42P20"


class DatatypeMismatch(BinderError):
    """Types that do not mix."""

    sqlstate = "42804"


class NoMatchingFunction(BinderError):
    """A function or operator that takes other arguments."""

    sqlstate = "42883"


class WrongKindOfFunction(BinderError):
    """A function used as one of another kind."""

    sqlstate = "42809"


class InvalidParameterValue(BinderError):
    """A constant, option or setting beyond what is allowed."""

    sqlstate = "22023"


class InvalidRowCount(BinderError):
    """A LIMIT or OFFSET that is no number of rows."""

    sqlstate = "2201W"


class InvalidColumnReference(BinderError):
    """Columns that exist, but cannot stand here: no key, or not in the select list."""

    sqlstate = "42P10"


class InvalidRecursion(BinderError):
    """A recursive WITH of a form that has no meaning."""

    sqlstate = "42P19"


class InvalidDefinition(BinderError):
    """A view, column or rule that cannot be defined like this."""

    sqlstate = "42P17"


class InvalidForeignKey(BinderError):
    """A FOREIGN KEY to columns that are no key."""

    sqlstate = "42830"


class UndefinedObject(BinderError):
    """A window or type that does not exist."""

    sqlstate = "42704"


class UndefinedParameter(BinderError):
    """A parameter without a value."""

    sqlstate = "42P02"


class UndefinedPrepared(BinderError):
    """A prepared statement that does not exist."""

    sqlstate = "26000"


class GeneratedColumn(BinderError):
    """A value for a column that is computed."""

    sqlstate = "428C9"


class LimitExceeded(BinderError):
    """A statement that is too deep or too wide."""

    sqlstate = "54000"


class UndefinedTable(CatalogError):
    """A table, view or sequence that does not exist."""

    sqlstate = "42P01"


class UndefinedFunction(CatalogError):
    """A function or macro that does not exist."""

    sqlstate = "42883"


class UndefinedSchema(CatalogError):
    """A schema that does not exist."""

    sqlstate = "3F000"


class UndefinedDatabase(CatalogError):
    """A database that does not exist: there is one."""

    sqlstate = "3D000"


class DuplicateTable(CatalogError):
    """A name that a table, view or sequence has."""

    sqlstate = "42P07"


class DuplicateColumn(CatalogError):
    """A name that a column of the table has."""

    sqlstate = "42701"


class DuplicateSchema(CatalogError):
    """A name that a schema has."""

    sqlstate = "42P06"


class DuplicateFunction(CatalogError):
    """A name that a macro has."""

    sqlstate = "42723"


class DuplicateObject(CatalogError):
    """A name that a type has."""

    sqlstate = "42710"


class WrongObjectType(CatalogError):
    """A table where a view is needed, or the contrary."""

    sqlstate = "42809"


class DependentObjects(CatalogError):
    """Something that others need."""

    sqlstate = "2BP01"


class InvalidTableDefinition(CatalogError):
    """A table that cannot be as it is told to be."""

    sqlstate = "42P16"


class ReservedName(CatalogError):
    """A name that the system keeps to itself."""

    sqlstate = "42939"


class CastOutOfRange(ConversionError):
    """A number beyond the range of the type it is cast to."""

    sqlstate = "22003"


class DatetimeOutOfRange(ConversionError):
    """A date or time that does not exist, or is beyond the range of its type."""

    sqlstate = "22008"


class UndefinedCast(ConversionError):
    """Types of which one cannot be cast to the other."""

    sqlstate = "42846"


class UndefinedFile(InputError):
    """A file or folder that does not exist."""

    sqlstate = "58P01"


class FileExists(InputError):
    """A file or folder that is there and may not be overwritten."""

    sqlstate = "58P02"


class WrongKindOfFile(InputError):
    """A folder where a file is needed, or the contrary."""

    sqlstate = "42809"


class FileAccessDenied(InputError):
    """A file or folder that this user may not read or write."""

    sqlstate = "42501"


class BadFileContent(InputError):
    """A file whose bytes are not what its format says."""

    sqlstate = "22P04"


class InvalidOption(ParserError):
    """A number in a statement's own syntax, beyond what is allowed."""

    sqlstate = "22023"


class InvalidKeys(ParserError):
    """A table with more than one primary key."""

    sqlstate = "42P16"


class RowChangedTwice(DataError):
    """A row that one statement would change several times."""

    sqlstate = "21000"


class InvalidRegularExpression(DataError):
    """A pattern that is no regular expression."""

    sqlstate = "2201B"


class InvalidJson(DataError):
    """Text that is no JSON."""

    sqlstate = "22032"


class WrongParameters(InterfaceError):
    """More or fewer values than the statement has parameters."""

    sqlstate = "08P01"


class NoActiveTransaction(TransactionStateError):
    """COMMIT or ROLLBACK with nothing to end."""

    sqlstate = "25P01"


class ActiveTransaction(TransactionStateError):
    """BEGIN within a transaction."""

    sqlstate = "25001"


class ReadOnlyTransaction(TransactionStateError):
    """A change within a transaction that only reads."""

    sqlstate = "25006"


class AbortedTransaction(TransactionStateError):
    """A statement after an error, before ROLLBACK."""

    sqlstate = "25P02"


_UNDEFINED: dict[str, type[CatalogError]] = {
    "table": UndefinedTable,
    "view": UndefinedTable,
    "sequence": UndefinedTable,
    "macro": UndefinedFunction,
    "table macro": UndefinedFunction,
    "function": UndefinedFunction,
    "schema": UndefinedSchema,
}
_DUPLICATE: dict[str, type[CatalogError]] = {
    "table": DuplicateTable,
    "view": DuplicateTable,
    "sequence": DuplicateTable,
    "registered frame": DuplicateTable,
    "macro": DuplicateFunction,
    "table macro": DuplicateFunction,
    "schema": DuplicateSchema,
}


def undefined(kind: str) -> type[CatalogError]:
    """The error that says that something of a kind (table, view, macro, type ...) does not exist."""
    return _UNDEFINED.get(kind.lower(), CatalogError)


def duplicate(kind: str) -> type[CatalogError]:
    """The error that says that something of a kind exists already."""
    return _DUPLICATE.get(kind.lower(), DuplicateObject)

"""gpuql: an analytical SQL engine whose queries run as compiled pipelines on a GPU or a CPU.

``gpuql.connect()`` opens a connection; ``gpuql.sql("...")`` uses one that lasts as long as the process. Names below
load what they need at first use, so that importing gpuql costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# PEP 249
apilevel = "2.0"
threadsafety = 2
paramstyle = "qmark"

if TYPE_CHECKING:
    from gpuql.api.dataframe import DataFrame, GroupBy
    from gpuql.api.dbapi import Cursor
    from gpuql.api.expressions import Expr
    from gpuql.api.functions import (
        aggregate,
        coalesce,
        col,
        concat_str,
        count,
        first,
        function,
        last,
        len,
        lit,
        max,
        mean,
        median,
        min,
        n_unique,
        std,
        sum,
        var,
        when,
    )
    from gpuql.api.result import Result
    from gpuql.errors import (
        ArithmeticOverflowError,
        BinderError,
        CatalogError,
        ConversionError,
        DatabaseError,
        DataError,
        DeviceError,
        GpuqlError,
        InputError,
        IntegrityError,
        InterfaceError,
        InternalError,
        InterruptError,
        NotSupportedError,
        OperationalError,
        OutOfMemoryError,
        OutOfRangeError,
        ParserError,
        PermissionError,
        ProgrammingError,
        TransactionError,
    )
    from gpuql.session import (
        Connection,
        connect,
        default_connection,
        execute,
        from_arrow,
        from_dict,
        from_pandas,
        from_polars,
        read_csv,
        read_json,
        read_parquet,
        register,
        sql,
        table,
    )
    from gpuql_planner.types import DataType

_FUNCTIONS = "aggregate coalesce col concat_str count first function last len lit max mean median min n_unique std sum var when"
_ERRORS = (
    "ArithmeticOverflowError BinderError CatalogError ConversionError DataError DatabaseError DeviceError GpuqlError "
    "InputError IntegrityError InterfaceError InternalError InterruptError NotSupportedError OperationalError "
    "OutOfMemoryError OutOfRangeError ParserError PermissionError ProgrammingError TransactionError"
)
_SESSION = (
    "Connection connect default_connection execute from_arrow from_dict from_pandas from_polars read_csv read_json "
    "read_parquet register sql table"
)

#: Where each public name is defined.
_MODULES = {
    "DataFrame": "gpuql.api.dataframe",
    "GroupBy": "gpuql.api.dataframe",
    "Cursor": "gpuql.api.dbapi",
    "Expr": "gpuql.api.expressions",
    "Result": "gpuql.api.result",
    "DataType": "gpuql_planner.types",
    **dict.fromkeys(_FUNCTIONS.split(), "gpuql.api.functions"),
    **dict.fromkeys(_ERRORS.split(), "gpuql.errors"),
    **dict.fromkeys(_SESSION.split(), "gpuql.session"),
}


def __getattr__(name: str) -> Any:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module 'gpuql' has no attribute {name!r}")
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})

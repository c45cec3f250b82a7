"""Bytes as text and back, hashes, and text built from a format."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.mathematics import simple
from gpuql_planner.functions.signatures import Overload, no_overload
from gpuql_planner.logical.expressions import Call, Expression
from gpuql_planner.types import BIGINT, BLOB, DOUBLE, UBIGINT, VARCHAR, TypeId

Resolver = Callable[[Sequence[Expression]], Expression]


def _of_text_or_bytes(name: str) -> Resolver:
    return simple(name, Overload((VARCHAR,), VARCHAR), Overload((BLOB,), VARCHAR))


def _hash(arguments: Sequence[Expression]) -> Expression:
    """``hash(value, ...)``: an unsigned number of any values, NULL included."""
    if not arguments:
        raise no_overload("hash", arguments, (Overload((VARCHAR,), UBIGINT),))
    return Call("hash", tuple(arguments), UBIGINT)


def _formatted(name: str) -> Resolver:
    """A format and its values: whole numbers, floating point (decimals too), BOOLEAN, all else as text."""

    def resolve(arguments: Sequence[Expression]) -> Expression:
        if not arguments or arguments[0].dtype.id not in (TypeId.VARCHAR, TypeId.NULL):
            raise no_overload(name, arguments, (Overload((VARCHAR,), VARCHAR),))
        values = [coerce(arguments[0], VARCHAR)]
        for argument in arguments[1:]:
            dtype = argument.dtype
            if dtype.is_integer or dtype.id is TypeId.BOOLEAN:
                values.append(argument)
            else:
                values.append(coerce(argument, DOUBLE if dtype.is_numeric else VARCHAR))
        return Call(name, tuple(values), VARCHAR)

    return resolve


ENCODINGS: dict[str, Resolver] = {
    "unhex": simple("unhex", Overload((VARCHAR,), BLOB)),
    "unbin": simple("unbin", Overload((VARCHAR,), BLOB)),
    "base64": simple("base64", Overload((BLOB,), VARCHAR)),
    "from_base64": simple("from_base64", Overload((VARCHAR,), BLOB)),
    "encode": simple("encode", Overload((VARCHAR,), BLOB)),
    "decode": simple("decode", Overload((BLOB,), VARCHAR)),
    "octet_length": simple("octet_length", Overload((BLOB,), BIGINT)),
    "md5": _of_text_or_bytes("md5"),
    "sha1": _of_text_or_bytes("sha1"),
    "sha256": _of_text_or_bytes("sha256"),
    "hash": _hash,
    "format": _formatted("format"),
    "printf": _formatted("printf"),
    "url_encode": simple("url_encode", Overload((VARCHAR,), VARCHAR)),
    "url_decode": simple("url_decode", Overload((VARCHAR,), VARCHAR)),
}

"""Distances between texts, user-perceived characters, normal forms, paths, and patterns as values."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gpuql_planner.functions.coercion import coerce
from gpuql_planner.functions.mathematics import simple
from gpuql_planner.functions.signatures import Overload, no_overload
from gpuql_planner.logical.expressions import Call, Expression
from gpuql_planner.types import BIGINT, BOOLEAN, DOUBLE, VARCHAR

Resolver = Callable[[Sequence[Expression]], Expression]


def _distance(name: str) -> Resolver:
    return simple(name, Overload((VARCHAR, VARCHAR), BIGINT))


def _similarity(name: str, *, has_limit: bool) -> Resolver:
    if has_limit:
        return simple(name, Overload((VARCHAR, VARCHAR, DOUBLE), DOUBLE, 2))
    return simple(name, Overload((VARCHAR, VARCHAR), DOUBLE))


def _text(name: str) -> Resolver:
    return simple(name, Overload((VARCHAR,), VARCHAR))


def _path(name: str) -> Resolver:
    return simple(name, Overload((VARCHAR, VARCHAR), VARCHAR, 1))


def _path_join(arguments: Sequence[Expression]) -> Expression:
    if not arguments:
        raise no_overload("path_join", arguments, (Overload((VARCHAR, VARCHAR), VARCHAR),))
    return Call("path_join", tuple(coerce(argument, VARCHAR) for argument in arguments), VARCHAR)


TEXT_MEASURES: dict[str, Resolver] = {
    "levenshtein": _distance("levenshtein"),
    "damerau_levenshtein": _distance("damerau_levenshtein"),
    "hamming": _distance("hamming"),
    "jaccard": _similarity("jaccard", has_limit=False),
    "jaro_similarity": _similarity("jaro_similarity", has_limit=True),
    "jaro_winkler_similarity": _similarity("jaro_winkler_similarity", has_limit=True),
    "length_grapheme": simple("length_grapheme", Overload((VARCHAR,), BIGINT)),
    "left_grapheme": simple("left_grapheme", Overload((VARCHAR, BIGINT), VARCHAR)),
    "right_grapheme": simple("right_grapheme", Overload((VARCHAR, BIGINT), VARCHAR)),
    "substring_grapheme": simple("substring_grapheme", Overload((VARCHAR, BIGINT, BIGINT), VARCHAR, 2)),
    "strip_accents": _text("strip_accents"),
    "nfc_normalize": _text("nfc_normalize"),
    "regexp_escape": _text("regexp_escape"),
    "bit_length": simple("bit_length", Overload((VARCHAR,), BIGINT)),
    "overlay": simple("overlay", Overload((VARCHAR, VARCHAR, BIGINT, BIGINT), VARCHAR, 3)),
    "glob": simple("glob", Overload((VARCHAR, VARCHAR), BOOLEAN)),
    "parse_dirname": _path("parse_dirname"),
    "parse_dirpath": _path("parse_dirpath"),
    "parse_filename": simple(
        "parse_filename",
        Overload((VARCHAR,), VARCHAR),
        Overload((VARCHAR, BOOLEAN), VARCHAR),
        Overload((VARCHAR, VARCHAR), VARCHAR),
        Overload((VARCHAR, BOOLEAN, VARCHAR), VARCHAR),
    ),
    "path_join": _path_join,
}

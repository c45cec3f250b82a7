"""USING SAMPLE and TABLESAMPLE.

Rows are numbered in their order, and chosen by a hash of number and seed: the same seed chooses the same rows of the
same table, on every device and with any number of threads.
"""

from __future__ import annotations

import random

from sqlglot import exp

from gpuql_planner.functions import make_call, make_comparison
from gpuql_planner.logical.expressions import Attribute, AttributeRef, Call, Expression, Literal, SortKey
from gpuql_planner.logical.nodes import Filter, Limit, LogicalNode, Project, Running, Sort
from gpuql_planner.logical.visit import pass_through
from gpuql_planner.sql.bind_limit import share_of_rows
from gpuql_planner.sql.context import BindContext
from gpuql_planner.statement_errors import InvalidOption, InvalidParameterValue
from gpuql_planner.thresholds import SAMPLE_BLOCK_ROWS
from gpuql_planner.types import BIGINT, DOUBLE, HUGEINT, UBIGINT

_METHODS = ("RESERVOIR", "BERNOULLI", "SYSTEM")
_HASHES = 2**64


def sampled(context: BindContext, plan: LogicalNode, node: exp.TableSample) -> LogicalNode:
    """Some rows of ``plan``: so many (reservoir), each with a chance (bernoulli), or blocks of them (system)."""
    context.reject_other(node, "method", "percent", "size", "seed")
    percent, size = node.args.get("percent"), node.args.get("size")
    default = "SYSTEM" if size is None else "RESERVOIR"
    method = str(node.args["method"].name).upper() if node.args.get("method") else default
    if method not in _METHODS:
        raise context.error(InvalidParameterValue, f"unknown sampling method: {method.lower()}", node)
    seed_node = node.args.get("seed")
    seed = random.getrandbits(31) if not seed_node else _whole(context, seed_node)
    if percent is None:
        if method == "BERNOULLI":
            raise context.error(InvalidParameterValue, "a bernoulli sample takes a percentage", node)
        return _reservoir(plan, _whole(context, size), seed)
    share = _percentage(context, percent)
    if method == "RESERVOIR":
        everything = Project(_shuffled(plan, seed), pass_through(plan.outputs))
        return share_of_rows(everything, Literal(share, DOUBLE), Literal(0, HUGEINT), "round")
    return _by_chance(plan, share, seed, 1 if method == "BERNOULLI" else SAMPLE_BLOCK_ROWS)


def _whole(context: BindContext, node: exp.Expr | None) -> int:
    if not (isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit()):
        raise context.error(InvalidOption, "size and seed of a sample must be whole numbers", node)
    context.depend_on_constants(node)
    return int(str(node.this))


def _percentage(context: BindContext, node: exp.Expr) -> float:
    if not (isinstance(node, exp.Literal) and not node.is_string):
        raise context.error(InvalidOption, "percentage of a sample must be a number", node)
    context.depend_on_constants(node)
    share = float(str(node.this))
    if not 0 <= share <= 100:
        raise context.error(InvalidOption, f"sample must be between 0% and 100%: {share:g}%", node)
    return share


def _chance(number: Expression, seed: int) -> Expression:
    return Call("hash", (number, Literal(seed, BIGINT)), UBIGINT)


def _shuffled(plan: LogicalNode, seed: int) -> Sort:
    number = Attribute.fresh("row", BIGINT, nullable=False)
    return Sort(Running(plan, number), (SortKey(_chance(AttributeRef(number), seed)),))


def _reservoir(plan: LogicalNode, num_rows: int, seed: int) -> LogicalNode:
    return Project(Limit(_shuffled(plan, seed), num_rows), pass_through(plan.outputs))


def _by_chance(plan: LogicalNode, share: float, seed: int, block_rows: int) -> LogicalNode:
    """Rows, or blocks of rows that follow each other, of which each is taken with that probability."""
    if share >= 100:
        return plan
    number = Attribute.fresh("row", BIGINT, nullable=False)
    place: Expression = AttributeRef(number)
    if block_rows > 1:
        place = make_call("integer_divide", (place, Literal(block_rows, BIGINT)))
    below = Literal(int(share / 100 * _HASHES), UBIGINT)
    taken = make_comparison("lt", _chance(place, seed), below)
    return Project(Filter(Running(plan, number), (taken,)), pass_through(plan.outputs))

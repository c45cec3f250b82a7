"""Numbers of the planner that choose between ways to the same rows, or bound work; no answer depends on them.

Each with its unit, how it was found, and what it decides. ``gpuql knobs`` lists them.
"""

from __future__ import annotations

from typing import Annotated

ESTIMATE_TOLERANCE: Annotated[
    float,
    "factor",
    "judgement: join orders rarely change for less",
    "A plan made for other literals is used again unless an estimate that chose it is off by more.",
] = 8.0
MIN_REDUCTION_BEFORE_JOIN: Annotated[
    float,
    "factor",
    "judgement",
    "An aggregation moves below a join only if it shrinks that input at least by this.",
] = 2.0
DEFAULT_ROWS: Annotated[
    float,
    "rows",
    "guess: nothing is known",
    "Rows of a relation that does not know its number, such as a CSV file.",
] = 100_000.0
LIST_ELEMENTS: Annotated[
    float,
    "elements",
    "guess: nothing is known",
    "Elements of a list: rows that UNNEST makes of one.",
] = 5.0
RECURSION_ROUNDS: Annotated[
    float,
    "rounds",
    "guess: nothing is known",
    "Rounds of a recursion, each of as many rows as the first: which side of a join is built.",
] = 100.0
DEFAULT_DISTINCT_SHARE: Annotated[
    float,
    "share of rows",
    "guess: nothing is known",
    "Distinct values of a column without statistics.",
] = 0.1
EQUALITY_SELECTIVITY: Annotated[
    float,
    "share of rows",
    "guess: nothing is known",
    "Rows that an equality keeps if the distinct values are not known.",
] = 0.1
RANGE_SELECTIVITY: Annotated[
    float,
    "share of rows",
    "guess: as System R",
    "Rows that a comparison keeps if the range is not known.",
] = 1 / 3
PART_OF_TEXT_DISTINCT: Annotated[
    float,
    "values",
    "guess: nothing is known",
    "Distinct values of a part of a text.",
] = 100.0
LIKE_PREFIX_SELECTIVITY: Annotated[
    float,
    "share of rows",
    "guess: nothing is known",
    "Rows that LIKE with a fixed beginning keeps.",
] = 0.05
LIKE_SELECTIVITY: Annotated[
    float,
    "share of rows",
    "guess: nothing is known",
    "Rows that another LIKE keeps.",
] = 0.1
OTHER_SELECTIVITY: Annotated[
    float,
    "share of rows",
    "guess: nothing is known",
    "Rows that any other condition keeps.",
] = 0.3
NULL_SHARE: Annotated[
    float,
    "share of rows",
    "guess: nothing is known",
    "NULLs of a column without statistics.",
] = 0.05
ROWS_WORTH_PLANNING: Annotated[
    float,
    "rows",
    "measured: planning costs as much as a pass over so many rows",
    "Inputs this large are planned anew for literals that filter more or fewer rows.",
] = 50_000.0
PROBE_COST: Annotated[
    float,
    "cost units a row",
    "measured on two cores, as a ratio to the others",
    "Looking a row up in a join index.",
] = 4.0
BUILD_COST: Annotated[
    float,
    "cost units a row",
    "measured on two cores, as a ratio to the others",
    "Putting a row into a join index.",
] = 10.0
OUTPUT_COST: Annotated[
    float,
    "cost units a row",
    "measured on two cores, as a ratio to the others",
    "Putting a joined row out.",
] = 1.0
PATTERN_COST: Annotated[
    float,
    "times a comparison",
    "measured on two cores",
    "LIKE on a text.",
] = 60.0
REGULAR_EXPRESSION_COST: Annotated[
    float,
    "times a comparison",
    "measured on two cores",
    "A regular expression on a text.",
] = 400.0
STRING_COST: Annotated[
    float,
    "times a comparison",
    "measured on two cores",
    "Any other function of a text.",
] = 15.0
DIVISION_COST: Annotated[
    float,
    "times a comparison",
    "measured on two cores",
    "A division.",
] = 6.0
DATE_PART_COST: Annotated[
    float,
    "times a comparison",
    "measured on two cores",
    "A part of a date.",
] = 8.0
MAX_EXACT_RELATIONS: Annotated[
    int,
    "relations",
    "bound: 4,096 subsets take about a millisecond",
    "Joins of more relations are ordered greedily.",
] = 12
MAX_EXACT_PAIRS: Annotated[
    int,
    "pairs of subgraphs",
    "bound: a few milliseconds",
    "Join graphs with more pairs are ordered greedily.",
] = 4000
MAX_KEY_SHARE_TO_REDUCE: Annotated[
    float,
    "share of keys",
    "judgement",
    "The other side may have at most this share of the keys of an input that is reduced first.",
] = 0.25
MIN_ROWS_TO_REDUCE: Annotated[
    float,
    "rows",
    "measured: a pipeline costs as much as so many rows",
    "Smaller inputs are grouped, or kept, as quickly as they are reduced.",
] = 20_000.0
MIN_BUILD_RATIO: Annotated[
    float,
    "factor",
    "judgement",
    "A build side is reduced if it is this many times larger than the probe side.",
] = 8.0
KEEP_COST: Annotated[
    float,
    "rows read",
    "measured",
    "Keeping a row and reading it again costs about as much as reading so many rows of the inputs.",
] = 4.0
MIN_ROWS_TO_SHARE: Annotated[
    float,
    "rows",
    "measured: a pipeline costs as much as so many rows",
    "A plan that reads fewer rows is not computed once and shared.",
] = 20_000.0
MAX_KEYS_FOLLOWED: Annotated[
    int,
    "keys",
    "bound: a wide table must not slow planning",
    "Unique keys followed through a plan.",
] = 8
EXISTENCE_RATIO: Annotated[
    float,
    "factor",
    "measured: a probe takes about half of an insertion",
    "SEMI and ANTI joins build their left side if the right one is this many times larger.",
] = 2.0
MAX_SERIES_ROWS: Annotated[
    int,
    "rows",
    "bound: moments of a series are constants of the plan",
    "Dates and timestamps that range() and generate_series() may give.",
] = 1_000_000
MAX_CONSTANT_ROWS: Annotated[
    int,
    "rows",
    "judgement: each is a constant of the plan, which takes longer to handle than a number computed",
    "Numbers of range() and generate_series() that stand in the plan; longer series are tables.",
] = 1_000
MAX_PIVOT_COLUMNS: Annotated[
    int,
    "columns",
    "bound: each is a part of the plan",
    "Columns that PIVOT may make.",
] = 10_000
SAMPLE_BLOCK_ROWS: Annotated[
    int,
    "rows",
    "judgement: DuckDB's vectors are as long",
    "Rows that a system sample takes or leaves together.",
] = 2_048
MAX_GROUPING_ARGUMENTS: Annotated[
    int,
    "arguments",
    "bound: bits of a BIGINT without its sign",
    "Arguments of GROUPING.",
] = 63
MAX_GROUPING_SETS: Annotated[
    int,
    "sets",
    "bound: each set is a part of the plan, and CUBE doubles them with each key",
    "Grouping sets of one GROUP BY.",
] = 4_096
MAX_VIEW_DEPTH: Annotated[
    int,
    "views",
    "bound: views may read each other in a circle",
    "Views within views.",
] = 64
MAX_SHAPE_CHARACTERS: Annotated[
    int,
    "characters",
    "bound: longer statements are rarely repeated and cost more to compare",
    "Statements whose plans are kept for other literals.",
] = 16_384
MAX_SHAPE_LITERALS: Annotated[
    int,
    "literals",
    "bound: as for MAX_SHAPE_CHARACTERS",
    "Literals of such a statement.",
] = 256
RULE_TEXTS_PARSED: Annotated[
    int,
    "texts",
    "bound: some kilobytes each",
    "Defaults, checks and generated columns whose trees are kept.",
] = 512

WIDE_TEXT_KEYS: Annotated[
    int,
    "strings",
    "judgement: fewer are kept as dictionaries, whose positions are integers too",
    "Different values from which on a text group key gives way to an integer that stands and falls with it.",
] = 4096
BYTES_PER_OPERATION: Annotated[
    float,
    "bytes",
    "judgement",
    "What evaluating one operation on a row counts as, in bytes read, where a device is chosen.",
] = 2.0

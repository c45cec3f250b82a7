"""Numbers of the kernels that choose between ways to the same result, or bound work; no answer depends on them.

Each with its unit, how it was found, and what it decides. ``gpuql knobs`` lists them.
"""

from __future__ import annotations

from typing import Annotated

MAX_COMPILER_FAILURES: Annotated[
    int,
    "failures",
    "judgement",
    "So often may the compiler process fail before a process compiles by itself.",
] = 3
COMPILER_IDLE_SECONDS: Annotated[
    float,
    "seconds",
    "judgement: its memory is given back after a while",
    "The compiler process ends without requests for so long; the next one starts another.",
] = 120.0
COMPILER_DRAIN_SECONDS: Annotated[
    float,
    "seconds",
    "judgement: a pipeline compiles in under a second",
    "The compiler process goes on for so long after its sender has ended.",
] = 5.0
COMPILER_NICENESS: Annotated[
    int,
    "niceness",
    "measured: about a tenth of a core under full load",
    "Added to the niceness of the compiler process.",
] = 10
SELECTED_NODES: Annotated[
    int,
    "nodes",
    "measured: cheaper than a mispredicted branch up to here",
    "A CASE of so many nodes is computed whole and selected from.",
] = 24
CHUNK_ROWS: Annotated[
    int,
    "rows",
    "cache: mask and selection (5 bytes a row) stay in the first level",
    "Rows of a chunk of a generated CPU loop.",
] = 4096
ROWS_PER_STEP: Annotated[
    int,
    "rows",
    "judgement: not measured on a GPU yet",
    "Rows whose early predicates a GPU thread evaluates together.",
] = 4
SMALL_GROUP_ROWS: Annotated[
    int,
    "rows",
    "measured: NumPy wins over loading and calling compiled code below",
    "Rows from which grouping kernels are compiled code.",
] = 4096
PARTITIONED_GROUP_ROWS: Annotated[
    int,
    "rows",
    "measured: one table takes 10 times as long from where it leaves the cache",
    "Rows from which keys that are many are numbered partition by partition.",
] = 1 << 15
GROUP_TABLE_KEYS: Annotated[
    int,
    "keys",
    "cache: hashes, rows and the table stay in the second level",
    "Keys that are numbered in one table, and rows of a partition.",
] = 1 << 14
MOST_GROUP_PARTITION_BITS: Annotated[
    int,
    "bits",
    "judgement: more are written through pages and lines that are gone in between",
    "Bits of a hash that make partitions in one pass.",
] = 11
COPIED_ELEMENTS: Annotated[
    int,
    "elements",
    "cache: the second level of a GPU",
    "Elements of all copies of a folded result together.",
] = 1 << 16
FOLD_RUN_ROWS: Annotated[
    int,
    "rows",
    "judgement: not measured on a GPU yet",
    "Rows that one thread folds in order; groups up to this size are summed in row order.",
] = 256
SMALL_PARTITION_ROWS: Annotated[
    int,
    "rows",
    "measured: NumPy wins over loading and calling compiled code below",
    "Rows from which partitioning kernels are compiled code.",
] = 4096
SMALL_WINDOW_ROWS: Annotated[
    int,
    "rows",
    "judgement: as for partitioning",
    "Frames from which folds over frames are compiled code.",
] = 4096
SMALL_SORT_ROWS: Annotated[
    int,
    "rows",
    "measured: NumPy wins over loading and calling compiled code below",
    "Rows from which sorting kernels are compiled code.",
] = 1 << 14
GATHER_TASK_ROWS: Annotated[
    int,
    "rows",
    "judgement: several tasks a thread, each well above the cost of handing it out",
    "Rows gathered by one task.",
] = 1 << 18
KEY_BITS_TASK_ROWS: Annotated[
    int,
    "rows",
    "judgement: as for GATHER_TASK_ROWS",
    "Rows whose key bits are extracted by one task.",
] = 1 << 18
MAX_KEY_BIT_RUNS: Annotated[
    int,
    "runs of bits",
    "measured: each run costs a step a row",
    "A key whose varying bits lie in more runs stays as it is.",
] = 16
SORT_BUCKET_ROWS: Annotated[
    int,
    "rows",
    "cache: keys and row numbers stay in the second level",
    "Rows of a bucket of a partitioned sort.",
] = 1 << 15
MAX_SORT_BUCKETS: Annotated[
    int,
    "buckets",
    "measured: more are written through pages and lines that are gone in between",
    "Buckets of one pass of a partitioned sort.",
] = 1 << 10
PARTITIONED_SORT_ROWS: Annotated[
    int,
    "rows",
    "measured",
    "Rows from which a sort partitions first.",
] = 1 << 17
PLAIN_SORT_ROWS: Annotated[
    int,
    "rows",
    "measured",
    "Fewer rows are sorted by NumPy alone.",
] = 1 << 10
MAX_SORT_CHUNKS: Annotated[
    int,
    "chunks",
    "judgement: each has counters of its own",
    "Chunks that are counted and scattered by one task each.",
] = 16
TOP_N_SAMPLE_ROWS: Annotated[
    int,
    "rows",
    "judgement: sorting so few costs little more than its launch",
    "Rows of the sample that bounds the result of a top-N on a GPU.",
] = 1 << 16
SMALL_STRING_ROWS: Annotated[
    int,
    "strings",
    "measured: Python's own bytes methods win over loading and calling compiled code below",
    "Strings from which matching is compiled code.",
] = 512
SEARCH_SAMPLE_BYTES: Annotated[
    int,
    "bytes",
    "judgement: enough to tell rare bytes from frequent ones",
    "Bytes looked at before a text is searched.",
] = 1 << 14

SPARSE_ENTRIES_PER_KEY: Annotated[
    int,
    "entries",
    "measured: one cache miss a lookup instead of three",
    "Entries that a direct-address table may take for each key.",
] = 256
SPARSE_TABLE_BYTES: Annotated[
    int,
    "bytes",
    "measured: larger ones pay only if every fourth entry is used",
    "Size up to which a direct-address table may be sparse.",
] = 64 << 20
SMALL_TABLE_BYTES: Annotated[
    int,
    "bytes",
    "cache: the second level",
    "Size up to which a direct-address table is always taken.",
] = 1 << 20
SMALL_JOIN_KEYS: Annotated[
    int,
    "keys",
    "measured: a Python loop costs less than loading compiled code below",
    "Keys from which join indexes are made by compiled code.",
] = 512
SORT_CELL_BITS: Annotated[
    int,
    "bits",
    "judgement: leading bits of doubles are mostly exponent, this leaves some of the fraction",
    "Leading bits of keys whose values are counted to choose buckets.",
] = 16
SIMULATED_SWITCH_S: Annotated[
    float,
    "seconds",
    "measured: halves the time of kernels in the simulator, which waits for its threads without a rest",
    "How long a thread runs in the simulator before another gets the interpreter.",
] = 2e-4

"""Numbers of the engine that choose between ways to the same rows, or bound work and memory; no answer depends on them.

Each with its unit, how it was found, and what it decides. ``gpuql knobs`` lists them.
"""

from __future__ import annotations

from typing import Annotated

FIRST_PYTHON_ROWS: Annotated[
    int,
    "rows",
    "judgement: most results are short or looked at from the beginning",
    "Rows made into Python objects at first.",
] = 1 << 8
MOST_PYTHON_ROWS: Annotated[
    int,
    "rows",
    "bound: Python objects take many times their bytes",
    "Rows made into Python objects at a time.",
] = 1 << 14
MOST_OPEN_FILE_TABLES: Annotated[
    int,
    "tables",
    "bound",
    "Opened file tables kept; the one unused for longest goes first.",
] = 256
KEPT_COLUMN_SHARE: Annotated[
    float,
    "share of rows",
    "judgement",
    "Columns of files are read whole, to be kept, only if predicates leave at least this share of the rows.",
] = 0.5
SMALL_DICTIONARY_ENTRIES: Annotated[
    int,
    "strings",
    "judgement",
    "Columns with no more distinct strings always get a dictionary; larger ones if entries repeat enough.",
] = 65_536
ROWS_PER_DICTIONARY_ENTRY: Annotated[
    int,
    "rows",
    "judgement",
    "A large dictionary must have at least so many rows for each entry.",
] = 4
MAX_DICTIONARY_BYTES: Annotated[
    int,
    "bytes",
    "bound",
    "Strings of a dictionary.",
] = 256 * 1024 * 1024
DICTIONARY_SAMPLE_ROWS: Annotated[
    int,
    "rows",
    "judgement",
    "Rows looked at to decide about a dictionary.",
] = 65_536
DICTIONARY_SAMPLE_SLICES: Annotated[
    int,
    "slices",
    "judgement",
    "Places of a column from which these rows are taken.",
] = 16
MAX_RUN_SHARE: Annotated[
    float,
    "share of bytes",
    "measured: decoding runs costs a pass over the rows",
    "Runs are kept if they take at most this share of the plain column.",
] = 0.25
RUN_SAMPLE_ROWS: Annotated[
    int,
    "rows",
    "judgement",
    "Rows looked at before runs are counted.",
] = 1 << 12
SPILLED_DICTIONARY_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "A dictionary up to this size moves to slower memory once, whole, for all rows that point into it.",
] = 1 << 18
BITMAP_PLACES_PER_ROW: Annotated[
    int,
    "places",
    "measured",
    "A bitmap over the domain of a column has at most so many places for each row, plus a few.",
] = 4
FEW_BITMAP_PLACES: Annotated[
    int,
    "places",
    "cache: the second level",
    "Domains up to this size always get a bitmap.",
] = 1 << 20
MOST_BITMAP_PLACES: Annotated[
    int,
    "places",
    "bound",
    "Domains beyond this size never get one.",
] = 1 << 30
STATISTICS_BLOCK_ROWS: Annotated[
    int,
    "rows",
    "cache: the third level",
    "Rows of a column that statistics look at at a time.",
] = 1 << 20
STATISTICS_BLOCK_BYTES: Annotated[
    int,
    "bytes",
    "cache: the third level",
    "Bytes of a column that statistics look at at a time.",
] = 4 << 20
STATISTICS_SAMPLE_ROWS: Annotated[
    int,
    "rows",
    "judgement",
    "Rows from which distinct values are estimated.",
] = 32_768
STATISTICS_SAMPLE_STRINGS: Annotated[
    int,
    "strings",
    "judgement",
    "Strings from which distinct values are estimated.",
] = 8_192
PROVE_UNIQUE_ROWS: Annotated[
    int,
    "rows",
    "bound",
    "Columns that look unique are sorted to prove it up to this many rows.",
] = 100_000_000
MERGED_DICTIONARY_ENTRIES: Annotated[
    int,
    "strings",
    "bound: they are sorted as Python objects",
    "Joined dictionaries with no more entries are sorted and deduplicated again.",
] = 4096
GROWTH_SHARE: Annotated[
    float,
    "share of rows",
    "judgement: estimates may be off by as much",
    "Statistics follow from earlier ones while no more rows than this came since all were looked at.",
] = 0.125
BACKGROUND_STATISTICS_ROWS: Annotated[
    int,
    "rows",
    "measured: fewer cost less than a thread",
    "Rows from which statistics are gathered in the background.",
] = 10_000
LOAD_AHEAD_ROWS: Annotated[
    int,
    "rows",
    "measured",
    "Rows of a table from which compiled kernels are loaded ahead.",
] = 2048
MAX_LOWERED_PIPELINES: Annotated[
    int,
    "pipelines",
    "bound: each holds some kilobytes",
    "Lowered pipelines kept.",
] = 1024
MANY_PROBES: Annotated[
    int,
    "probes",
    "bound: Python nests loops 20 deep",
    "From so many probes on, generated code is tried before it is used.",
] = 10
TABULATED_VALUES: Annotated[
    int,
    "values",
    "cache: the second level",
    "Functions of a column with so many possible values are computed once per value instead of per row.",
] = 1 << 16
GPU_STATE_REGISTERS: Annotated[
    int,
    "registers",
    "judgement: more leave too few threads to hide loads; not measured yet",
    "Registers that the states of all groups may take in a GPU thread.",
] = 80
GPU_SHARED_SHARE: Annotated[
    float,
    "share of bytes",
    "judgement: several blocks are to fit a multiprocessor; not measured yet",
    "Share of a block's shared memory for states.",
] = 0.5
STRING_TRANSLATION_ENTRIES: Annotated[
    int,
    "strings",
    "bound: they are compared as Python objects",
    "Translations between dictionaries of more entries are left to the interpreter's compiled lookup.",
] = 1 << 16
UNIQUE_TEXT_ROWS: Annotated[
    int,
    "rows",
    "bound: hashing them takes a tenth of a second and 16 MB",
    "Text columns of more rows are not proved unique.",
] = 1 << 21
KEPT_SERIES: Annotated[
    int,
    "tables",
    "judgement: a few hundred bytes each",
    "Long series of numbers that stay the same table, so that their plans are kept.",
] = 64
ROWS_PER_KEY_ENTRY: Annotated[
    int,
    "rows",
    "guess: numbering a string costs about as much as hashing the keys of four rows",
    "Strings that group keys point into are numbered beforehand if there are at most as many for so many rows.",
] = 4
SMALL_DOMAIN: Annotated[
    int,
    "groups",
    "measured: clearing them costs less than hashing a few rows",
    "Group arrays this small are always used.",
] = 1 << 12
DENSE_BYTES_PER_ROW: Annotated[
    int,
    "bytes",
    "measured: 0.2 ns a byte against 6 ns a row",
    "Dense state that costs about as much to clear, merge and search as one row costs to hash.",
] = 32
MAX_FANOUT: Annotated[
    int,
    "rows",
    "bound",
    "A join that can give more rows for one input row is left to the interpreter, which works in chunks.",
] = 1 << 20
MATCH_BYTES: Annotated[
    int,
    "bytes",
    "guess",
    "What a match that is put out takes.",
] = 16
INITIAL_GROUPS: Annotated[
    int,
    "groups",
    "judgement: estimates are often too high, growing moves few groups",
    "Group tables start with room for no more.",
] = 1 << 14
FEW_GROUPS_SHARE: Annotated[
    float,
    "share of groups",
    "judgement: enlarging it to be parted as the largest is costs more than its groups",
    "A worker's group table with no more groups than this share of the largest one's is merged into that at once.",
] = 1 / 16
UNCOUNTED_STATE_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "A result up to this size is not worth accounting for.",
] = 1 << 16
BATCH_ROWS: Annotated[
    int,
    "rows",
    "cache: the second level",
    "Rows of a batch of the interpreter.",
] = 1 << 17
WINDOW_ROW_BYTES: Annotated[
    int,
    "bytes",
    "judgement: positions, bounds of partitions, peers and frames, a running total and a result",
    "Memory of window functions for each row, besides two copies of it.",
] = 160
WINDOW_LIMIT_ROWS: Annotated[
    int,
    "rows",
    "judgement: a few batches",
    "Rows from which those beyond the limit of their partition are left out before they are sorted with the others.",
] = 1 << 18
WINDOW_SHARE: Annotated[
    float,
    "share of the budget",
    "judgement: sorted runs are merged beside it",
    "What partitions that are computed together take, where memory has no room for all.",
] = 0.25
FEWEST_WINDOW_BYTES: Annotated[
    int,
    "bytes",
    "bound",
    "Memory below which window functions ask others for theirs rather than work on fewer rows at a time.",
] = 1 << 16
WINDOW_BLOCKS_IN_HAND: Annotated[
    int,
    "blocks",
    "judgement: where frames begin, where they end, and the row's own",
    "Blocks of a partition that stay in memory between uses.",
] = 4
FRAME_PAIRS: Annotated[
    int,
    "pairs",
    "bound",
    "Pairs of a row and a row of its frame that a window function without a cheaper form works on at once.",
] = 1 << 20
MAX_BATCH_PAIRS: Annotated[
    int,
    "pairs",
    "bound",
    "Pairs that the probes of one batch may give.",
] = 1 << 22
PAIR_BYTES: Annotated[
    int,
    "bytes",
    "guess: only the operators know what they gather",
    "What a pair takes of the memory for a part of the source.",
] = 16
SHARED_PARTIAL_ROWS: Annotated[
    int,
    "rows",
    "measured",
    "Partial rows for each worker below which more workers do not pay.",
] = 1 << 14
MIN_MORSEL_ROWS: Annotated[
    int,
    "rows",
    "measured: hides the cost of a call",
    "Rows of a morsel at least.",
] = 1 << 14
MAX_MORSEL_ROWS: Annotated[
    int,
    "rows",
    "judgement: work is shared evenly and cancelled promptly",
    "Rows of a morsel at most.",
] = 1 << 20
MORSELS_PER_WORKER: Annotated[
    int,
    "morsels",
    "judgement: work is shared evenly",
    "Morsels into which a source is cut for each worker.",
] = 8
MAX_JOIN_SPLITS: Annotated[
    int,
    "splits",
    "bound",
    "Rows that so many splits have left together are joined in blocks.",
] = 6
INDIVISIBLE_SHARE: Annotated[
    float,
    "share of rows",
    "judgement",
    "A split that leaves more than this in one partition has met rows that belong together.",
] = 0.9
RUNNING_COPIES: Annotated[
    int,
    "copies",
    "bound: rows, what is carried to them, and both taken once more",
    "Copies of its rows that a pass over rows in order makes of a part.",
] = 4
RECURSION_BATCHES: Annotated[
    int,
    "batches",
    "bound: reading a batch costs as much as some hundred rows",
    "Batches that the rows of a recursive query may lie in before they are put together.",
] = 64
SMALL_SOURCE_ROWS: Annotated[
    int,
    "rows",
    "measured",
    "Fewer source rows are interpreted unless their generated code is loaded already.",
] = 2048
GROUP_BYTES: Annotated[
    int,
    "bytes",
    "guess",
    "What a group takes where rows that are aggregated at a time may all be groups.",
] = 64
WAIT_FOR_COMPILER_ROWS: Annotated[
    int,
    "rows",
    "measured: interpreting more takes longer than compiling first",
    "With more source rows the compiler is waited for.",
] = 50_000_000
INTO_TABLE_PART_BYTES: Annotated[
    int,
    "bytes",
    "measured: more make nothing faster",
    "What goes into a table is read in parts of at most so many bytes.",
] = 32 << 20
WHOLE_STRINGS_SHARE: Annotated[
    float,
    "share of bytes",
    "judgement",
    "Strings up to this share of a part go to the device as a whole; of more, those that the part's rows use.",
] = 0.25
GATHER_BELOW: Annotated[
    int,
    "factor",
    "measured",
    "Rows are gathered before an expression is evaluated when fewer than one in so many is needed.",
] = 8
KEPT_ENTRIES_PER_ROW: Annotated[
    int,
    "entries",
    "judgement",
    "A result over all entries of a shared dictionary is kept if it has at most so many per row asked for.",
] = 16
MAX_LIST_ELEMENTS: Annotated[
    int,
    "elements",
    "bound: 4 GB of them in one batch, where DuckDB has the same limit for one list",
    "A function that would make more elements of lists for one batch of rows is refused.",
] = 2**29
DECODED_COPIES: Annotated[
    int,
    "factor",
    "bound: a BIGINT element of 9 bytes is read as a place, 8 bytes of key, and the value, twice with the result",
    "Bytes that a function of lists takes for each byte of its arguments as they are stored.",
] = 6
KEPT_DICTIONARY_RESULTS: Annotated[
    int,
    "results",
    "bound",
    "Such results kept with a dictionary.",
] = 64
CSV_SNIFF_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "Text looked at to find the layout of a CSV file.",
] = 256 * 1024
CSV_INFER_BYTES: Annotated[
    int,
    "bytes",
    "judgement: a later value that does not fit is an error",
    "Text in which the types of a CSV file are found.",
] = 32 * 1024 * 1024
LEAST_CSV_BLOCK_BYTES: Annotated[
    int,
    "bytes",
    "bound: a block must hold a whole row",
    "Text of a CSV file parsed at a time, at least.",
] = 1 << 20
MOST_CSV_BLOCK_BYTES: Annotated[
    int,
    "bytes",
    "bound: of the parser",
    "Text of a CSV file parsed at a time, at most.",
] = 1 << 30
CSV_PARSING_COPIES: Annotated[
    int,
    "copies",
    "judgement: text, values of their natural width and columns stand side by side",
    "Memory of parsing, in times the bytes of a part.",
] = 3
JSON_BLOCK_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "Text of a JSON file parsed at a time where nothing says how much may be.",
] = 32 << 20
JSON_PARSING_COPIES: Annotated[
    int,
    "copies",
    "judgement: as for CSV_PARSING_COPIES",
    "Memory of parsing, in times the bytes of a part.",
] = 3
PARQUET_DECODING_COPIES: Annotated[
    int,
    "copies",
    "judgement: pages, Arrow arrays of their natural width, and the part itself",
    "Memory of decoding, in times the bytes of a part.",
] = 2
PARQUET_SPAN_ROWS: Annotated[
    int,
    "rows",
    "cache: decoded values of a column stay in the second level",
    "Row groups smaller than this are read several at a time.",
] = 1 << 16
CODED_STRING_BYTES: Annotated[
    float,
    "bytes",
    "judgement",
    "Strings stored in fewer bytes each are dictionary codes throughout a Parquet file.",
] = 3.0
PARQUET_READ_AHEAD_BYTES: Annotated[
    int,
    "bytes",
    "judgement: each column has such a buffer, beside its page",
    "Compressed bytes read at a time of a row group that is decoded in pieces.",
] = 1 << 18
COMPRESSED_SHARE: Annotated[
    float,
    "share of bytes",
    "judgement",
    "Spilled arrays are compressed as long as that leaves no more than this share.",
] = 0.8
BATCHES_BETWEEN_COMPRESSIONS: Annotated[
    int,
    "batches",
    "judgement",
    "Batches after which compression is tried again where it did not pay.",
] = 16
MIN_COMPRESSED_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "Shorter arrays are always compressed.",
] = 1 << 12
MOST_BLOCK_FORMS: Annotated[
    int,
    "forms",
    "judgement: batches of one operator have few",
    "Forms of batches in a file that are remembered, so that batches share them.",
] = 1 << 10
MEMORY_PATIENCE_S: Annotated[
    float,
    "seconds",
    "judgement",
    "How long a query waits for memory without a sign of life of those that hold it, when all wait.",
] = 5.0
SIBLING_PATIENCE_S: Annotated[
    float,
    "seconds",
    "judgement: one step of work may take long",
    "The same while another thread of the query works.",
] = 60.0
MEMORY_GRACE_S: Annotated[
    float,
    "seconds",
    "judgement: rows may just be changing hands",
    "The same when nobody seems to hold what could be given back.",
] = 0.1
MEMORY_POLL_S: Annotated[
    float,
    "seconds",
    "judgement",
    "How often a waiting query looks.",
] = 0.05
PINNED_SHARE: Annotated[
    float,
    "share of the budget",
    "judgement: operators need the rest",
    "Columns that running queries may have in their hands.",
] = 0.5
REMAKE_OVER_READ: Annotated[
    float,
    "factor",
    "judgement",
    "A column made anew faster than so many times the reading of its bytes from a file is not written to one.",
] = 2.0
KEPT_DICTIONARY_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "Dictionaries up to this size stay in memory when the rows that point into them do not.",
] = 1 << 18
DEFAULT_MEMORY_SHARE: Annotated[
    float,
    "share of the machine's memory",
    "judgement: the rest is for the program around us",
    "memory_limit where it is auto.",
] = 0.8
TEMPERATURE_HALF_LIFE_USES: Annotated[
    int,
    "uses",
    "judgement",
    "The temperature of a column on a device halves while so many others are asked for.",
] = 256
DECODED_RUN_ROWS: Annotated[
    int,
    "rows",
    "judgement: not measured on a GPU yet",
    "Rows of runs that are decoded on a device at a time.",
] = 1 << 22
SENT_CHUNK_BYTES: Annotated[
    int,
    "bytes",
    "judgement: hides the start of a copy and begins early; not measured yet",
    "Bytes sent to a device at a time.",
] = 8 << 20
SENT_WHOLE_BYTES: Annotated[
    int,
    "bytes",
    "judgement: not measured yet",
    "Smaller arrays are sent in one piece.",
] = 1 << 20
DEFAULT_GPU_MEMORY_SHARE: Annotated[
    float,
    "share of free memory",
    "judgement: kernels and the driver need some",
    "gpu_memory_limit where it is auto.",
] = 0.9
KEPT_ON_DEVICE_SHARE: Annotated[
    float,
    "share of free memory",
    "judgement",
    "Columns that take no more are kept on a device whole; larger sources pass through in parts.",
] = 0.5
PARTS_IN_BUDGET: Annotated[
    int,
    "parts",
    "measured: a part, what is made of it and rows kept so far stand side by side",
    "A query reads its sources in parts of this fraction of the budget.",
] = 24
WHOLE_SOURCE_SHARE: Annotated[
    float,
    "share of what is available",
    "judgement",
    "A source is read as a whole if it takes no more.",
] = 0.2
BLOCKS_IN_BUDGET: Annotated[
    int,
    "blocks",
    "judgement",
    "Rows move to slower memory in blocks of this fraction of the budget.",
] = 64
MIN_BLOCK_BYTES: Annotated[
    int,
    "bytes",
    "measured: smaller ones cost more than their bytes",
    "Such blocks at least.",
] = 1 << 18
MAX_BLOCK_BYTES: Annotated[
    int,
    "bytes",
    "measured: larger ones are no faster",
    "Such blocks at most.",
] = 8 << 20
MIN_PART_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "Parts of a source at least.",
] = 1 << 17
MAX_PART_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "Parts of a source at most.",
] = 256 << 20
SMALL_PIECE_BYTES: Annotated[
    int,
    "bytes",
    "measured: a block costs as much as some hundred kilobytes",
    "Batches smaller than this are joined with their neighbours before they move.",
] = 1 << 20
TINY_PIECE_BYTES: Annotated[
    int,
    "bytes",
    "measured: objects of a batch take some kilobytes, and its arrays leave holes in the heap",
    "Batches smaller than this are joined with their neighbours as they come.",
] = 1 << 16
JOINED_PIECES: Annotated[
    int,
    "batches",
    "judgement: each row is copied once or twice",
    "So many of them at a time.",
] = 8
FREE_DISK_SHARE: Annotated[
    float,
    "share of free space",
    "judgement",
    "max_temp_directory_size where it is auto.",
] = 0.9
WHOLE_OVER_PIECES: Annotated[
    int,
    "copies",
    "judgement: the pieces, the column, and what compressing it needs",
    "Memory for putting a whole column together, in times its bytes.",
] = 2
REDUCE_BYTES_PER_ROW: Annotated[
    int,
    "bytes",
    "measured: group numbers, codes, places, hash table",
    "What one step over a batch takes for each row.",
] = 80
REDUCE_COPIES: Annotated[
    int,
    "copies",
    "judgement",
    "What it takes besides, in times the batch.",
] = 2
REDUCE_STEPS_IN_BUDGET: Annotated[
    int,
    "steps",
    "judgement",
    "So many steps at once on each worker would fill the budget.",
] = 4
MIN_REDUCE_ROWS: Annotated[
    int,
    "rows",
    "measured: fewer take longer than they are worth",
    "Rows of such a step at least.",
] = 1 << 10
DENSE_CODES: Annotated[
    int,
    "codes",
    "cache: the first level",
    "Up to so many codes a table over the whole domain is used however few the rows are.",
] = 4096
DENSE_CODES_PER_ROW: Annotated[
    int,
    "codes",
    "measured: clearing an entry costs far less than hashing a key",
    "Beyond, up to so many codes for each row.",
] = 16
FILTERED_PROBE_ROWS: Annotated[
    int,
    "rows",
    "measured",
    "With fewer probe rows the filter of build keys is not looked at.",
] = 1024
CHUNK_PAIRS: Annotated[
    int,
    "pairs",
    "bound",
    "Pairs that a residual condition or a cross join looks at together.",
] = 1 << 20
CHUNK_PAIR_BYTES: Annotated[
    int,
    "bytes",
    "guess",
    "What such a pair takes.",
] = 32
JOIN_TABLE_SHARE: Annotated[
    float,
    "share of what a query can get",
    "judgement: rows that probe, and other tables, need room too",
    "What the table of a join may take.",
] = 0.5
JOIN_PARTITION_SHARE: Annotated[
    float,
    "share of what a query can get",
    "judgement: it may turn out larger",
    "What the table of a partition is to take.",
] = 0.3
SPARSE_INDEX_SHARE: Annotated[
    float,
    "share of what a query can get",
    "judgement",
    "What an index addressed directly by keys, although few entries are used, may take.",
] = 1 / 16
STRING_INDEX_BYTES: Annotated[
    int,
    "bytes",
    "measured: a hash and up to four slots",
    "What an index over distinct strings takes for each.",
] = 24
MAX_FILTER_BITS: Annotated[
    int,
    "bits",
    "cache: larger ones leave it and save little",
    "Bitmap of the keys that a build has.",
] = 1 << 25
MAX_SHARE_PRESENT: Annotated[
    float,
    "share of keys",
    "measured",
    "A bitmap that lets more pass rejects too few rows to pay.",
] = 0.5
MAX_SPLIT_BITS: Annotated[
    int,
    "bits",
    "bound: more partitions would each get few rows of a batch",
    "Bits of a hash that one split looks at.",
] = 8
LARGE_GROUP_COPIES: Annotated[
    int,
    "copies",
    "judgement",
    "What a step over a batch of large groups takes, in times the batch.",
] = 4
LARGE_GROUP_BYTES_PER_ROW: Annotated[
    int,
    "bytes",
    "measured",
    "What it takes besides for each row.",
] = 120
LARGE_GROUP_STEPS_IN_BUDGET: Annotated[
    int,
    "steps",
    "judgement",
    "So many such steps at once would fill the budget.",
] = 12
FIRST_SORT_BYTES: Annotated[
    int,
    "bytes",
    "measured",
    "Bytes of a string that become sort words at once; others only where strings tie.",
] = 24
STRING_WORD_TASK_ROWS: Annotated[
    int,
    "rows",
    "cache: the second level",
    "Rows whose string bytes are read by one task.",
] = 1 << 16
POOR_REDUCTION: Annotated[
    float,
    "share of rows",
    "measured",
    "A batch with more groups than this share of its rows is not worth reducing.",
] = 0.6
FEW_REDUCED_ROWS: Annotated[
    int,
    "rows",
    "judgement",
    "Fewer rows are reduced in any case.",
] = 1024
SPARSE_STRING_RATIO: Annotated[
    int,
    "factor",
    "judgement",
    "Strings are copied for rows that are fewer than one in so many of them.",
] = 4
MERGED_PARTIAL_ROWS: Annotated[
    int,
    "rows",
    "measured",
    "Kept partial rows of a worker are merged once there are so many, and again once they doubled "
    "(became four times as many if merging hardly made them fewer).",
] = 1 << 20
UNSPLIT_GROUPS_SHARE: Annotated[
    float,
    "share of the budget",
    "judgement: finishing takes several times as much",
    "All workers together keep partial rows unsplit up to here.",
] = 1 / 8
SPLIT_CHUNK_SHARE: Annotated[
    float,
    "share of the budget",
    "judgement: splitting takes several times as much",
    "A worker splits partial rows once they take so much.",
] = 1 / 48
MAX_SPLIT_CHUNK_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "Partial rows that a worker splits at a time, at most.",
] = 64 << 20
MOST_GROUP_SPLIT_BITS: Annotated[
    int,
    "bits",
    "judgement: data of several times the budget need no second split",
    "Bits of a hash that splits groups.",
] = 6
SPLIT_PIECE_BYTES: Annotated[
    int,
    "bytes",
    "measured: handling less takes more time than its rows, and objects and holes in the heap weigh as much as they",
    "Fewer partitions if their share of a chunk were smaller.",
] = 1 << 15
FINISH_GROUPS_SHARE: Annotated[
    float,
    "share of the budget",
    "judgement",
    "What a partition of groups may take while it is finished.",
] = 1 / 2
WORTHWHILE_SPLIT: Annotated[
    float,
    "share of rows",
    "judgement",
    "Splitting again helps as long as it leaves no more than this in one partition.",
] = 0.9
MAX_GROUP_SPLITS: Annotated[
    int,
    "splits",
    "bound",
    "Splits of groups one after the other.",
] = 6
FEW_COLLECTED_BATCHES: Annotated[
    int,
    "batches",
    "judgement: a query of few rows has one",
    "So many small batches of a result are kept without a store.",
] = 8
UNCOUNTED_RESULT_BYTES: Annotated[
    int,
    "bytes",
    "judgement",
    "A result up to this size is not worth accounting for.",
] = 1 << 16
FEW_MERGED_ROWS: Annotated[
    int,
    "rows",
    "judgement",
    "A partition of groups is not merged before it has so many rows.",
] = 1 << 12
POOR_MERGE: Annotated[
    float,
    "share of rows",
    "judgement",
    "One that merging left larger than this waits for more.",
] = 0.7
MAX_DICTIONARY_EXTENSIONS: Annotated[
    int,
    "times",
    "bound",
    "A shared dictionary gets more entries so often before its column does without one.",
] = 8
SHARED_ROWS_PER_ENTRY: Annotated[
    int,
    "rows",
    "judgement",
    "Columns with fewer rows for each entry do without a shared dictionary.",
] = 4
VIEW_SHARE: Annotated[
    float,
    "share of bytes",
    "judgement",
    "A view of less of an array is copied, so that the array can be freed.",
] = 0.5
JOIN_SPLIT_BITS: Annotated[
    int,
    "bits",
    "judgement: small partitions are put together again, so more of them cost little",
    "Bits of a hash that splits rows of a join.",
] = 6
GATHERED_SHARE: Annotated[
    float,
    "share of a part",
    "judgement",
    "What a worker gathers before it splits rows.",
] = 0.5
TOP_N_SEED_ROWS: Annotated[
    int,
    "rows",
    "judgement: as few as give a useful threshold",
    "Without a threshold a top-N first looks at so many rows.",
] = 1 << 13
TOP_N_GROWTH: Annotated[
    int,
    "factor",
    "judgement",
    "Each threshold is used for up to so many times the rows that it was found among.",
] = 8
TOP_N_SPARE_ROWS: Annotated[
    int,
    "rows",
    "judgement",
    "A top-N state is cut back once it holds so many rows more than twice as many as asked for.",
] = 1 << 10
SORTED_RUN_SHARE: Annotated[
    float,
    "share of the budget",
    "judgement: the next part of the source stands beside it",
    "Rows are sorted to a run once that takes so much.",
] = 0.75
FEWEST_RUN_ROWS: Annotated[
    int,
    "rows",
    "bound",
    "Where there is less room, runs are shorter, but not shorter than this.",
] = 1 << 12
SORT_KEY_TASK_ROWS: Annotated[
    int,
    "rows",
    "cache: steps pass their arrays on in the second level",
    "Rows whose sort keys one task encodes or decodes.",
] = 1 << 16
SORT_ROW_BYTES: Annotated[
    int,
    "bytes",
    "measured",
    "Memory of a sort for each row: row numbers.",
] = 28
SORT_WORD_BYTES: Annotated[
    int,
    "bytes",
    "measured",
    "Memory of a sort for each row and key word.",
] = 12
SORT_TIE_BYTES: Annotated[
    int,
    "bytes",
    "measured",
    "Memory of a sort for each row whose first words are equal to another's.",
] = 16
MERGE_SHARE: Annotated[
    float,
    "share of the budget",
    "judgement",
    "What a merge of sorted runs works with.",
] = 0.5
MERGE_COPIES: Annotated[
    int,
    "copies",
    "bound: blocks, joined, and in order",
    "How often what one round reads stands there.",
] = 3
BEGUN_BLOCKS_SHARE: Annotated[
    float,
    "share of a merge",
    "judgement: half of them is read on average",
    "What blocks of all runs may take; more runs are merged in several passes.",
] = 1.0
EXPECTED_RUNS: Annotated[
    int,
    "runs",
    "judgement",
    "Blocks of the first runs are as large as if there were to be so many runs.",
] = 16
MIN_RUN_BLOCK_BYTES: Annotated[
    int,
    "bytes",
    "measured",
    "Blocks of a run at least.",
] = 32 << 10
MAX_RUN_BLOCK_BYTES: Annotated[
    int,
    "bytes",
    "measured",
    "Blocks of a run at most.",
] = 2 << 20
RUN_DICTIONARIES_IN_BUDGET: Annotated[
    int,
    "dictionaries",
    "judgement",
    "A dictionary that all runs share may take this fraction of the budget.",
] = 512
ROOM_STEPS: Annotated[
    int,
    "steps",
    "judgement",
    "Room is made in steps of this fraction of the budget.",
] = 32
RUN_GATHER_ROWS: Annotated[
    int,
    "rows",
    "cache: the second level",
    "Rows gathered at a time when a run is cut into blocks.",
] = 1 << 16
TEMPLATE_PLANS: Annotated[
    int,
    "plans",
    "bound",
    "Settings for which a template keeps a plan.",
] = 4
PLAN_CACHE_CAPACITY: Annotated[
    int,
    "statements",
    "bound",
    "Statements whose plans a connection keeps, and shapes of statements.",
] = 512
TEMPLATE_VARIANTS: Annotated[
    int,
    "plans",
    "bound",
    "Plans kept for statements of one shape whose literals ask for different plans.",
] = 8
DEEPEST_FRAMES: Annotated[
    int,
    "frames",
    "bound: what they need of a thread's stack stays below 8 MiB",
    "Python frames allowed while a statement is worked on.",
] = 5000

MANY_BUILD_ROWS: Annotated[
    int,
    "rows",
    "judgement",
    "Build rows from which what a join table takes is estimated by their number alone.",
] = 1 << 20
BLOCKS_IN_LIMIT: Annotated[
    int,
    "blocks",
    "judgement: far fewer mappings than a process may have",
    "Freed blocks of at least this fraction of memory_limit go back to the system at once.",
] = 1024
LEAST_MAPPED_BYTES: Annotated[
    int,
    "bytes",
    "measured: smaller ones cost more time than the holes they would leave",
    "Such blocks at least.",
] = 32 << 10
SHARED_HEAP_LIMIT_BYTES: Annotated[
    int,
    "bytes",
    "measured: each thread's heap keeps some tens of megabytes",
    "Below this memory_limit all threads share one heap.",
] = 1 << 30
HOLES_IN_LIMIT: Annotated[
    int,
    "times",
    "measured: partitions that move to files leave holes as large as the limit",
    "Holes in the heap go back to the system once queries freed this fraction of memory_limit.",
] = 32
TRIMMING_SHARE: Annotated[
    float,
    "share of time",
    "measured: looking for holes takes milliseconds",
    "Most of the time that goes into it.",
] = 0.03
PARQUET_ROW_GROUP_ROWS: Annotated[
    int,
    "rows",
    "judgement: as DuckDB writes them, so that files of both are read alike",
    "Rows of a row group of a Parquet file that COPY writes, unless ROW_GROUP_SIZE says otherwise.",
] = 122_880

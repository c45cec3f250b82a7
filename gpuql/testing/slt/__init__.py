"""sqllogictest files, in the flavour that DuckDB made of them: text in, outcomes out.

:func:`parse_file` turns a file into records, :func:`run_file` runs them on a connection (of gpuql, of DuckDB, or of
anything whose ``execute(sql)`` gives a cursor with ``fetchall``), :func:`complete` writes what an engine answers into
the file. ``python -m gpuql.testing.slt`` does the same from a command line.

Understood::

    statement ok | error | maybe [connection]      then SQL; for errors "----" and a part of the message, or <REGEX>:…
    query <types> [nosort|rowsort|valuesort] [connection|label]   then SQL, "----", and the values
    skipif | onlyif <label>                        for the next record; the reason stands after #
    loop <name> <from> <to> | foreach <name> <values…>  …  endloop        ${name} is replaced
    require <feature>      the rest of the file is left out where the feature is missing
    mode skip | unskip     hash-threshold <n>     reconnect     sleep <n> <unit>     halt

A type is a letter for each column: I (integer), R (floating point, compared with a tolerance), T (anything, as text).
Values stand in rows separated by tabs (or by single spaces, if none holds one), or one on each line; instead of them
there may be ``<n> values hashing to <md5>``. A value ``<REGEX>:pattern`` or ``<!REGEX>:pattern`` must match or not. An
empty string is written ``(empty)``. Queries with the same label must give the same rows. ``{TEST_DIR}`` and
``__TEST_DIR__`` are a folder that the runner gives.
"""

from __future__ import annotations

from gpuql.testing.slt.complete import complete
from gpuql.testing.slt.records import Record, parse_file, parse_text
from gpuql.testing.slt.runner import Mismatch, Runner, run_file, run_record

__all__ = ["Mismatch", "Record", "Runner", "complete", "parse_file", "parse_text", "run_file", "run_record"]

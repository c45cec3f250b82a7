"""Group tables of worker threads: grown, merged partition by partition, and read.

In: tables as ``GroupHash`` sinks fill them on the CPU. Out: keys and merged states, one array each. There is no GPU
form: all threads of a GPU share one table, which is launched again when it is too small.
"""

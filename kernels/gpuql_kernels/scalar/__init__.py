"""Row functions used inside generated code: one source, compiled for the CPU (``cpu``) and for CUDA (``gpu``).

Plain Python on scalars, so that the simulator and a debugger run them too.
"""

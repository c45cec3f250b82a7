"""Kernels over byte strings held as offsets and data: compare, search, match, number distinct values.

Arrays in, arrays out. ``contract`` says what each function means; ``cpu`` implements it.
"""

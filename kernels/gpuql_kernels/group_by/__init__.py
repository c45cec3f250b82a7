"""Grouping kernels: number distinct keys, and reduce values by group number.

Arrays in, arrays out. ``contract`` says what each function means; ``cpu`` implements it.
"""

"""Sorting kernels: the order of rows by packed key words.

Arrays in, arrays out. ``contract`` says what each function means; ``cpu`` implements it.
"""

"""Builds bundles of wheels that install gpuql on a host without a network.

In: a checkout, a target (Python, CUDA, glibc) and a package registry. Out: folders ``part1``, ``part2``, …, each small
enough to carry alone, with its wheels, a manifest of hashes and ``install.py``, which needs nothing but Python and pip.
``target`` says what the host is, ``wheels`` gets the packages, ``closure`` which of them are needed, ``parts`` cuts
and writes; ``install`` travels along.
"""

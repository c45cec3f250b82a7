"""A NULL divisor holds zero in memory; it divides nothing."""

import pytest

import gpuql
from gpuql.errors import DataError


def test_whole_division_and_modulo_of_floats_by_null() -> None:
    with gpuql.connect(device="cpu") as connection:
        connection.execute("CREATE TABLE t (a INTEGER, d DOUBLE)")
        connection.execute("INSERT INTO t VALUES (3, 1.5), (5, NULL), (NULL, NULL)")
        assert connection.execute("SELECT a // d, a % d FROM t").fetchall() == [
            (2.0, 0.0),
            (None, None),
            (None, None),
        ]
        with pytest.raises(DataError, match="division by zero"):
            connection.execute("SELECT a // 0e0 FROM t")

"""Casting a DOUBLE to DECIMAL near 2**53 once rounded whole numbers up: adding a half to them is not exact."""

from __future__ import annotations

from decimal import Decimal

import gpuql


def test_large_double_keeps_its_last_digit() -> None:
    connection = gpuql.connect(device="cpu", tier="interpreted", threads=1)
    connection.execute(
        "CREATE TABLE t AS SELECT x::DOUBLE AS x FROM (VALUES (-717851123102.0845), (2.5)) v(x)"
    )
    found = connection.execute(
        "SELECT CAST(x AS DECIMAL(18, 4)), CAST(x AS DECIMAL(18, 0)) FROM t"
    ).fetchall()
    assert found == [(Decimal("-717851123102.0845"), Decimal(-717851123102)), (Decimal("2.5"), Decimal(3))]

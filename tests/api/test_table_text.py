"""Rows as text for terminals."""

from __future__ import annotations

import datetime
from decimal import Decimal

import pytest

from gpuql.api.table_text import display_width, format_table, format_value
from gpuql_planner.logical.expressions import Interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "true"),
        (Decimal("1.50"), "1.50"),
        (b"a\x00\\", "a\\x00\\x5C"),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        (datetime.datetime(2020, 1, 2, 3, 4, 5), "2020-01-02 03:04:05"),
        (datetime.time(1, 2, 3, 400), "01:02:03.000400"),
        (Interval(14, -3, 3_723_500_000), "1 year 2 months -3 days 01:02:03.5"),
        (Interval(-1, 0, -1_000_000), "-1 month -00:00:01"),
        (Interval(0, 0, 0), "00:00:00"),
    ],
)
def test_values(value: object, text: str) -> None:
    assert format_value(value) == text


def test_wide_and_combining_characters_keep_the_box_straight() -> None:
    assert (display_width("日本"), display_width("e\u0301"), display_width("ab")) == (4, 1, 2)
    lines = format_table(["a"], [["日本"], ["abc"], ["e\u0301"]], [False]).splitlines()
    assert len({display_width(line) for line in lines}) == 1


def test_control_characters_do_not_break_the_box() -> None:
    text = format_table(["a"], [["x\ny\t\x1b[31m"]], [False])
    assert "x\\ny\\t\\e[31m" in text


def test_long_values_are_cut() -> None:
    assert "…" in format_table(["a"], [["x" * 100]], [False], max_cell_width=10)

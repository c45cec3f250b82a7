"""docs/errors.md is as the classes say, and every class of errors can be met."""

from __future__ import annotations

from pathlib import Path

from gpuql.bench.errors_page import PAGE, error_classes, page
from gpuql_planner import statement_errors

HERE = Path(__file__).parent
#: Classes whose errors need more than one text, or a file that may not be read.
MET_ELSEWHERE = {"AbortedTransaction", "FileAccessDenied"}


def test_page_is_as_the_classes_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run make docs-errors"


def test_classes_have_distinct_names_and_codes_of_five_characters() -> None:
    classes = list(error_classes())
    assert len({kind.__name__ for kind in classes}) == len(classes)
    assert all(len(kind.sqlstate) == 5 for kind in classes)


def test_every_kind_of_statement_error_is_in_a_golden_text() -> None:
    texts = "".join(path.read_text(encoding="utf-8") for path in HERE.rglob("*.txt"))
    kinds = [kind for kind in error_classes() if kind.__module__ == statement_errors.__name__]
    missing = {kind.__name__ for kind in kinds if f"\n{kind.__name__} {kind.sqlstate}" not in texts}
    assert missing <= MET_ELSEWHERE, "an error without a statement that meets it"

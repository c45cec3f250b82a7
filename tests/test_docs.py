"""The examples of every page under docs/ run as they stand, one after the other, in an empty folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import gpuql
from gpuql.cli.main import build_parser

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(page.name for page in DOCS.glob("*.md"))


def examples(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE
    )


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page, "sql")])
def test_sql(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with gpuql.connect(device="cpu") as connection:
        for example in examples(page, "sql"):
            connection.execute(example)


@pytest.mark.parametrize("page", [page for page in PAGES if examples(page, "python")])
def test_python(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    program = "".join(examples(page, "python"))
    exec(compile(program, page, "exec"), {"__name__": "example"})


def test_every_gpuql_command_is_one() -> None:
    parser = build_parser()
    found = 0
    for page in PAGES:
        for line in "".join(examples(page, "sh")).splitlines():
            words = re.split(r"\s+#", line)[0].split()
            if words[:1] == ["gpuql"]:
                parser.parse_args(words[1:])
                found += 1
    assert found > 5


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", (DOCS / page).read_text("utf-8")):
        assert "://" in target or (DOCS / target).exists(), target

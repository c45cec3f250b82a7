"""Words that statements begin with: for a statement that is not supported, and for one that is misspelt."""

from __future__ import annotations

from gpuql_planner.errors import did_you_mean

#: First words of statements that are understood.
STATEMENT_WORDS = (
    *(
        "select",
        "from",
        "values",
        "with",
        "table",
        "pivot",
        "unpivot",
        "describe",
        "desc",
        "show",
        "summarize",
    ),
    *(
        "explain",
        "insert",
        "update",
        "delete",
        "merge",
        "truncate",
        "copy",
        "create",
        "drop",
        "alter",
        "comment",
    ),
    *(
        "begin",
        "start",
        "commit",
        "end",
        "rollback",
        "abort",
        "prepare",
        "execute",
        "deallocate",
        "call",
        "use",
    ),
    *("set", "reset", "pragma", "checkpoint", "vacuum", "analyze", "export", "import"),
)
#: First words of statements that other databases have.
_REFUSED_WORDS = frozenset(
    {
        *("attach", "detach", "install", "load", "grant", "revoke", "lock", "declare"),
        *(
            "kill",
            "force",
            "savepoint",
            "release",
            "refresh",
            "cluster",
            "reindex",
            "replace",
            "listen",
            "notify",
        ),
    }
)


def is_refused(word: str) -> bool:
    """Whether a statement beginning with the word is known from elsewhere and not supported."""
    return word.lower() in _REFUSED_WORDS


def may_be_misspelt(word: str) -> bool:
    """Whether the word begins no statement, so that the reader of an error should look at it first."""
    return word.isidentifier() and word.lower() not in STATEMENT_WORDS


def statement_hint(word: str) -> str | None:
    """Statements that begin like a misspelt word."""
    return did_you_mean(word, [known.upper() for known in STATEMENT_WORDS])

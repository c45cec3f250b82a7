"""Text of lists, structs and maps as DuckDB writes it, and reading such text."""

from __future__ import annotations

from collections.abc import Iterator

_QUOTES = "'\""
_OPENING, _CLOSING = "[{(", "]})"
#: Letters that make a text inside of a nested value stand in quotes.
_SPECIAL = frozenset(",'\"[]{}()=:\\")


def quoted(text: str) -> str:
    """A text as it stands inside of a list, struct or map."""
    plain = text and not text[0].isspace() and not text[-1].isspace() and text.lower() != "null"
    if plain and _SPECIAL.isdisjoint(text):
        return text
    return always_quoted(text)


def always_quoted(text: str) -> str:
    """A text in quotes, as names of fields stand."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def list_items(text: str) -> list[str | None] | None:
    """Items of ``[a, b]``, None for NULL; None if the text is no list."""
    inner = _inside(text, "[", "]")
    if inner is None:
        return None
    if not inner.strip():
        return []
    parts = _split(inner, ",")
    return None if parts is None else [_item(part) for part in parts]


def row_items(text: str) -> list[str | None] | None:
    """Items of ``(a, b)``; None if the text is no such row."""
    inner = _inside(text, "(", ")")
    parts = None if inner is None else _split(inner, ",")
    return None if parts is None else [_item(part) for part in parts]


def pairs(text: str, separator: str) -> list[tuple[str | None, str | None]] | None:
    """Names and items of ``{a: 1}``, keys and items of ``{a=1}``; None if the text is neither."""
    inner = _inside(text, "{", "}")
    if inner is None:
        return None
    if not inner.strip():
        return []
    parts = _split(inner, ",")
    if parts is None:
        return None
    found = []
    for part in parts:
        halves = _split(part, separator, most=1)
        if halves is None or len(halves) != 2:
            return None
        found.append((_item(halves[0]), _item(halves[1])))
    return found


def _inside(text: str, opening: str, closing: str) -> str | None:
    stripped = text.strip()
    if len(stripped) < 2 or stripped[0] != opening or stripped[-1] != closing:
        return None
    return stripped[1:-1]


def _letters(text: str) -> Iterator[tuple[int, str, bool, int]]:
    """Place, letter, whether it stands in quotes, and the depth of brackets around it (-1 if they do not match)."""
    quote, depth, place = "", 0, 0
    while place < len(text):
        letter = text[place]
        if quote:
            yield place, letter, True, depth
            if letter == "\\" and place + 1 < len(text):
                place += 1
                yield place, text[place], True, depth
            elif letter == quote:
                quote = ""
        else:
            if letter in _QUOTES:
                quote = letter
            elif letter in _OPENING:
                depth += 1
            elif letter in _CLOSING:
                depth -= 1
            yield place, letter, bool(quote), depth
        place += 1
    yield place, "", bool(quote), depth


def _split(text: str, separator: str, most: int = -1) -> list[str] | None:
    """Parts between separators outside of quotes and brackets; None if those are not balanced."""
    parts, start = [], 0
    for place, letter, in_quotes, depth in _letters(text):
        if depth < 0:
            return None
        if not letter:
            if in_quotes or depth:
                return None
            parts.append(text[start:place])
        elif letter == separator and not in_quotes and depth == 0 and most != 0:
            parts.append(text[start:place])
            start = place + 1
            most -= 1
    return parts


def _item(part: str) -> str | None:
    """What an item's text says: quotes taken off, unless it is nested itself; None for NULL."""
    stripped = part.strip()
    if stripped[:1] in _OPENING and stripped:
        return stripped
    if stripped.lower() == "null":
        return None
    if not any(quote in stripped for quote in _QUOTES):
        return stripped
    letters, quote, place = [], "", 0
    while place < len(stripped):
        letter = stripped[place]
        if quote:
            if letter == "\\" and place + 1 < len(stripped):
                place += 1
                letters.append(stripped[place])
            elif letter == quote:
                quote = ""
            else:
                letters.append(letter)
        elif letter in _QUOTES:
            quote = letter
        else:
            letters.append(letter)
        place += 1
    return "".join(letters)

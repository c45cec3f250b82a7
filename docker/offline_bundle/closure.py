"""Which of the wheels at hand the host needs, by its own environment markers.

pip evaluates markers (``; python_version < "3.12"``) for the Python it runs on, also when it downloads for another. So
its choice is walked once more with the markers of the host: what pip missed is asked for, what it took needlessly is
left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


@dataclass(frozen=True)
class Wheel:
    """What a wheel's metadata says. ``name`` is normalized."""

    name: str
    version: Version
    file_name: str
    requirements: tuple[Requirement, ...]


@dataclass
class Closure:
    """What a walk found.

    ``needed``: names of the wheels reached. ``missing``: requirements that no wheel at hand fulfils, as pip takes them.
    ``left_out``: excluded packages that are needed, with the requirements on them.
    """

    needed: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)
    left_out: dict[str, list[str]] = field(default_factory=dict)


def walk(
    root: Requirement, wheels: Mapping[str, Wheel], excluded: Sequence[str], environment: Mapping[str, str]
) -> Closure:
    """Follow the requirements of ``root`` through ``wheels`` (by normalized name), not through ``excluded`` ones."""
    closure = Closure()
    pending = [root]
    seen: set[tuple[str, str]] = set()
    while pending:
        requirement = pending.pop()
        name = canonicalize_name(requirement.name)
        if name in excluded:
            closure.left_out.setdefault(name, []).append(str(requirement.specifier))
            continue
        wheel = wheels.get(name)
        if wheel is None or not requirement.specifier.contains(wheel.version, prereleases=True):
            closure.missing.append(_without_marker(requirement))
            continue
        closure.needed.add(name)
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in seen:
                seen.add((name, extra))
                pending += [needed for needed in wheel.requirements if _applies(needed, extra, environment)]
    return closure


def _applies(requirement: Requirement, extra: str, environment: Mapping[str, str]) -> bool:
    """Whether ``requirement`` holds for this extra, or for none ("")."""
    if requirement.marker is None:
        return extra == ""
    if extra and requirement.marker.evaluate({**environment, "extra": ""}):
        return False
    return requirement.marker.evaluate({**environment, "extra": extra})


def _without_marker(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name}{extras}{requirement.specifier}"

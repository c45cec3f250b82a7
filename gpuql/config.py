"""Settings of a connection: what may be set, of which type, and what it means.

``gpuql.connect(name=value)`` and ``SET name = value`` both end in :meth:`Settings.changed`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gpuql_planner.errors import BinderError, CatalogError, did_you_mean

SettingValue = str | int | bool


def available_threads() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True)
class Settings:
    """Values of all settings at one moment: a query keeps those it started with. :data:`SETTINGS` describes them."""

    device: str = "auto"
    threads: int = field(default_factory=available_threads)
    tier: str = "auto"
    on_unsupported: str = "fallback"
    batch_rows: int = 131_072
    optimizer: bool = True
    verify_plans: bool = False
    integer_division: bool = False

    def changed(self, name: str, value: object) -> Settings:
        """These settings with one changed; ``value`` None gives it its default back.

        Errors: CatalogError for an unknown name, BinderError for a value that the setting does not take.
        """
        setting = find_setting(name)
        if value is None:
            converted = getattr(Settings(), setting.name)
        else:
            try:
                converted = setting.convert(value)
            except ValueError as error:
                raise BinderError(f"setting {setting.name} must be {error}: {value!r}") from None
        change: dict[str, Any] = {setting.name: converted}
        return replace(self, **change)

    def as_dict(self) -> dict[str, SettingValue]:
        """All values by name."""
        return asdict(self)


@dataclass(frozen=True)
class Setting:
    """One setting. ``convert`` turns what the user wrote into the value, or raises ValueError naming what is taken."""

    name: str
    description: str
    convert: Callable[[object], SettingValue]


def _choice(*allowed: str) -> Callable[[object], SettingValue]:
    def convert(value: object) -> SettingValue:
        text = str(value).lower()
        if text not in allowed:
            raise ValueError(f"one of {', '.join(allowed)}")
        return text

    return convert


def _at_least_one(value: object) -> SettingValue:
    text = str(value)
    if isinstance(value, bool) or not text.isdecimal() or int(text) < 1:
        raise ValueError("a whole number, 1 or more")
    return int(text)


def _boolean(value: object) -> SettingValue:
    flag = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}.get(
        str(value).lower()
    )
    if flag is None:
        raise ValueError("true or false")
    return flag


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "device",
            "Where pipelines run: auto (a GPU if one is usable, else the CPU), cpu, gpu, or cudasim (numba's CUDA "
            "simulator, for tests).",
            _choice("auto", "cpu", "gpu", "cudasim"),
        ),
        Setting("threads", "Worker threads on the CPU.", _at_least_one),
        Setting(
            "tier",
            "How pipelines run: auto (compiled where that pays), interpreted, or compiled.",
            _choice("auto", "interpreted", "compiled"),
        ),
        Setting(
            "on_unsupported",
            "What happens to a pipeline that the chosen device or tier cannot run: fallback (it runs elsewhere and "
            "EXPLAIN says so) or error.",
            _choice("fallback", "error"),
        ),
        Setting("batch_rows", "Rows handed to an operator at a time.", _at_least_one),
        Setting("optimizer", "Rewrite plans into cheaper ones; off is for tests.", _boolean),
        Setting("verify_plans", "Check the plan after every rewrite; for tests.", _boolean),
        Setting("integer_division", "Make / on two integers an integer division.", _boolean),
    )
}


def find_setting(name: str) -> Setting:
    """The setting called ``name`` (case-insensitive); CatalogError with a did-you-mean otherwise."""
    setting = SETTINGS.get(name.lower())
    if setting is None:
        hint = did_you_mean(name, list(SETTINGS)) or f"settings are {', '.join(SETTINGS)}"
        raise CatalogError(f"setting not found: {name}", hint=hint)
    return setting

"""Settings of a connection: what may be set, of which type, and what it means.

``gpuql.connect(name=value)`` and ``SET name = value`` both end in :meth:`Settings.changed`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gpuql_planner.errors import CatalogError, did_you_mean
from gpuql_planner.statement_errors import InvalidParameterValue
from gpuql_planner.time_zones import find_zone, local_zone

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
    memory_limit: str = "auto"
    gpu_memory_limit: str = "auto"
    temp_directory: str = "auto"
    max_temp_directory_size: str = "auto"
    timezone: str = field(default_factory=local_zone)

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
                raise InvalidParameterValue(f"setting {setting.name} must be {error}: {value!r}") from None
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


def _device(value: object) -> SettingValue:
    text = str(value).lower()
    if text not in ("auto", "cpu", "gpu", "cudasim") and not re.fullmatch(r"gpu:\d{1,3}", text):
        raise ValueError("one of auto, cpu, gpu, cudasim, or gpu:N for the GPU of number N")
    return text


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


_UNITS = {"": 1, "b": 1} | {
    prefix + suffix: base**power
    for power, prefix in enumerate("kmgt", start=1)
    for suffix, base in (("b", 1000), ("ib", 1024), ("", 1024))
}


def parse_bytes(text: str) -> int | None:
    """Bytes of "4GB" (10^9 each), "512MiB" (2^20 each) or a plain number; None of "auto".

    Errors: ValueError for anything else.
    """
    folded = text.strip().lower()
    if folded == "auto":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-z]*)", folded)
    if match is None or match[2] not in _UNITS or float(match[1]) == 0:
        raise ValueError("auto, or a size such as 4GB or 512MiB")
    return int(float(match[1]) * _UNITS[match[2]])


def _size(value: object) -> SettingValue:
    text = str(value)
    parse_bytes(text)
    return text


def _folder(value: object) -> SettingValue:
    text = str(value)
    if not text:
        raise ValueError("auto, or the path of a folder")
    return text


SETTINGS: dict[str, Setting] = {
    setting.name: setting
    for setting in (
        Setting(
            "device",
            "Where pipelines run: auto (CPU or GPU, whichever should be faster), cpu, gpu (the first one; gpu:1 is the "
            "second), or cudasim (numba's CUDA simulator, for tests).",
            _device,
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
        Setting(
            "timezone",
            "Time zone in which TIMESTAMP WITH TIME ZONE has a date and a time of day; the system's at first.",
            lambda value: find_zone(str(value)),
        ),
        Setting("integer_division", "Make / on two integers an integer division.", _boolean),
        Setting(
            "memory_limit",
            "Host memory that queries and tables may take, such as 4GB or 512MiB; auto is 80 % of what the machine or "
            "its container has. Beyond it rows move to temporary files.",
            _size,
        ),
        Setting(
            "gpu_memory_limit",
            "GPU memory that queries and columns kept there may take; auto is 90 % of what is free when the GPU is "
            "opened. Beyond it rows move to host memory.",
            _size,
        ),
        Setting(
            "temp_directory",
            "Folder of temporary files; auto is spill in gpuql's cache folder. The files vanish with the process.",
            _folder,
        ),
        Setting(
            "max_temp_directory_size",
            "Bytes that temporary files may take together; auto is 90 % of what the disk has free.",
            _size,
        ),
    )
}


def find_setting(name: str) -> Setting:
    """The setting called ``name`` (case-insensitive); CatalogError with a did-you-mean otherwise."""
    setting = SETTINGS.get(name.lower())
    if setting is None:
        hint = did_you_mean(name, list(SETTINGS)) or f"settings are {', '.join(SETTINGS)}"
        raise CatalogError(f"setting not found: {name}", hint=hint)
    return setting

"""The host that a bundle is for, in the words of pip and of environment markers."""

from __future__ import annotations

import re
from dataclasses import dataclass

from packaging.markers import default_environment

MACHINES = ("x86_64", "aarch64")
#: Before "manylinux_<glibc>" tags (PEP 600) a few versions of glibc had names of their own.
_OLDER_NAMES = {5: "manylinux1", 12: "manylinux2010", 17: "manylinux2014"}


@dataclass(frozen=True)
class Target:
    """A Linux host: Python such as "3.12", ``machine`` as ``uname -m`` says it, glibc such as "2.28" or later."""

    python: str
    machine: str
    glibc: str

    def __post_init__(self) -> None:
        """ValueError for what is not a version or not a machine that packages are built for."""
        if not re.fullmatch(r"3\.\d+", self.python):
            raise ValueError(f"the Python version must look like 3.12: {self.python}")
        if not re.fullmatch(r"2\.\d+", self.glibc):
            raise ValueError(f"the glibc version must look like 2.28: {self.glibc}")
        if self.machine not in MACHINES:
            raise ValueError(f"the machine must be one of {', '.join(MACHINES)}: {self.machine}")

    @property
    def platforms(self) -> tuple[str, ...]:
        """Platform tags whose wheels run there, the newest glibc first: pip prefers the earlier ones."""
        tags = []
        for minor in range(int(self.glibc.split(".")[1]), 4, -1):
            tags.append(f"manylinux_2_{minor}_{self.machine}")
            if minor in _OLDER_NAMES:
                tags.append(f"{_OLDER_NAMES[minor]}_{self.machine}")
        return tuple(tags)

    @property
    def pip_arguments(self) -> tuple[str, ...]:
        """What makes ``pip download`` choose wheels for the host instead of for this machine."""
        return (
            "--only-binary=:all:",
            "--implementation=cp",
            f"--python-version={self.python}",
            f"--abi=cp{self.python.replace('.', '')}",
            *(f"--platform={tag}" for tag in self.platforms),
        )

    @property
    def environment(self) -> dict[str, str]:
        """Values of the environment markers there (``python_version`` and so on)."""
        environment = {name: str(value) for name, value in default_environment().items()}
        environment["implementation_name"] = "cpython"
        environment["platform_python_implementation"] = "CPython"
        environment["python_version"] = self.python
        environment["python_full_version"] = environment["implementation_version"] = f"{self.python}.0"
        environment["os_name"] = "posix"
        environment["sys_platform"] = "linux"
        environment["platform_system"] = "Linux"
        environment["platform_machine"] = self.machine
        return environment

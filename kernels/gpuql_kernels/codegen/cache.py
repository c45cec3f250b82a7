"""Where generated source and its machine code live: in memory, and on disk for later processes.

A generated function is a module named by the hash of its source text and of the versions that shape its machine
code. Numba's own file cache keeps the machine code beside the module; the module must be importable by name before
that cache loads, so it is registered in ``sys.modules`` first.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import threading
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from types import ModuleType

_lock = threading.Lock()


def cache_directory() -> Path:
    """``$GPUQL_CACHE_DIR``, else ``gpuql`` under the user's cache directory; created when missing."""
    configured = os.environ.get("GPUQL_CACHE_DIR")
    return _made(Path(configured) if configured else _user_cache() / "gpuql")


@lru_cache(maxsize=8)
def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


@lru_cache(maxsize=1)
def generator_fingerprint() -> str:
    """Hash over the generator's own sources and the versions of Numba and NumPy: a change of either compiles anew."""
    # Asked of the installed packages, as importing Numba takes half a second.
    versions = [metadata.version(package) for package in ("numba", "numpy")]
    digest = hashlib.sha256(f"{versions} {sys.version_info[:2]}".encode())
    package = Path(__file__).parent.parent
    for path in sorted((*(package / "scalar").glob("*.py"), *(package / "codegen").glob("*.py"))):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def module_name(source: str) -> str:
    """Importable name of the generated module with this text."""
    digest = hashlib.sha256(f"{generator_fingerprint()}\n{source}".encode())
    return f"gpuql_generated_{digest.hexdigest()[:24]}"


def load_module(source: str) -> ModuleType:
    """Import the generated module with this text, writing it to the cache directory if it is new.

    Safe under concurrent threads and processes: the file appears by an atomic rename.
    """
    name = module_name(source)
    with _lock:
        known = sys.modules.get(name)
        if known is not None:
            return known
        directory = cache_directory() / "generated"
        directory.mkdir(exist_ok=True)
        path = directory / f"{name}.py"
        if not path.exists():
            draft = path.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
            draft.write_text(source)
            draft.replace(path)
        specification = importlib.util.spec_from_file_location(name, path)
        assert specification is not None, "a .py path has a loader"
        assert specification.loader is not None, "a .py path has a loader"
        module = importlib.util.module_from_spec(specification)
        sys.modules[name] = module
        try:
            specification.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        return module


def is_on_disk(name: str) -> bool:
    """Whether machine code of the generated module was written by this or an earlier process."""
    return (cache_directory() / "generated" / f"{name}.compiled").exists()


def mark_on_disk(name: str) -> None:
    """Remember that machine code of the module is on disk."""
    (cache_directory() / "generated" / f"{name}.compiled").touch()

"""The decorator of compiled loops: machine code that is kept on disk for as long as what it was made from stays."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import caching


def compiled_loop(function: Callable[..., Any]) -> Any:
    """``function`` compiled by Numba at its first call, without the interpreter lock and without Python's checks.

    Numba keeps machine code until the file of the function changes. Functions of other files are part of that code as
    well, so here it is kept until any source of this package changes.
    """
    dispatcher: Any = njit(nogil=True, cache=True, error_model="numpy")(function)
    cache: Any = dispatcher._cache
    stamp = (cache._impl.locator.get_source_stamp(), source_fingerprint())
    index: Any = caching.IndexDataCacheFile
    cache._cache_file = index(cache.cache_path, cache._impl.filename_base, stamp)
    return dispatcher


@lru_cache(maxsize=1)
def source_fingerprint() -> str:
    """A hash of all files that compiled loops may take functions from."""
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(
        (*package.glob("scalar/*.py"), *package.glob("*/cpu_loops.py"), *package.glob("*/bytewise.py"))
    ):
        digest.update(path.read_bytes())
    return digest.hexdigest()

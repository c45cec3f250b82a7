"""The SQL corpus on the device, in every tier and with small batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpuql.testing.slt import Mismatch, Runner, parse_file
from tests.gpu.tested_device import DEVICE, SIMULATED, Connect

CORPUS = sorted((Path(__file__).parents[1] / "sql").glob("*.slt"))

CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "interpreted": {"tier": "interpreted"},
    "compiled": {"tier": "compiled"},
    "three-row-batches": {"tier": "interpreted", "batch_rows": 3},
}
# In the simulator the corpus has no more to say than the tiers that it takes anyway.
CHOSEN = ["interpreted"] if SIMULATED else list(CONFIGURATIONS)


@pytest.mark.parametrize("configuration", CHOSEN)
@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_corpus(path: Path, configuration: str, connect_device: Connect) -> None:
    failures = []
    connection = connect_device(**CONFIGURATIONS[configuration])
    with Runner(connection) as runner:
        for record in parse_file(path, labels=("gpuql", DEVICE, configuration)):
            try:
                runner.run(record)
            except Mismatch as mismatch:
                failures.append(str(mismatch))
            except Exception as error:  # a device that fails in one record may well answer the next
                failures.append(f"{record.path}:{record.line}: {type(error).__name__}: {error}")
    assert not failures, f"{len(failures)} records:\n" + "\n\n".join(failures)

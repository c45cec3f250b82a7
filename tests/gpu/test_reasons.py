"""What the device says of itself."""

from __future__ import annotations

import pytest

import gpuql
from gpuql.device.probe import cuda_support, device_names
from tests.gpu.tested_device import DEVICE, Connect


def test_every_pipeline_is_on_the_device_and_says_why(connect_device: Connect) -> None:
    connection = connect_device()
    plan = connection.explain("SELECT a % 3, count(*) FROM range(10000) t(a) GROUP BY 1")
    headings = [line for line in plan.splitlines() if line.startswith("Pipeline")]
    assert headings
    assert all(f"[{DEVICE}: device = {DEVICE}" in line for line in headings)


@pytest.mark.asks_driver
def test_devices_have_names() -> None:
    assert len(device_names()) == cuda_support().num_devices
    assert all(device_names())


@pytest.mark.asks_driver
def test_auto_sees_the_device() -> None:
    with gpuql.connect() as connection:
        assert "GPU" in connection.device.reason

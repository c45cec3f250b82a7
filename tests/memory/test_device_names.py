"""Devices by name and number, without a device: what the driver says is made up, what gpuql makes of it is not."""

from __future__ import annotations

import pytest

from gpuql.config import Settings
from gpuql.device import device as device_module
from gpuql.device import open_device
from gpuql.device.probe import CudaSupport
from gpuql.errors import BinderError, DeviceError


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "cuda_support", lambda: CudaSupport("13.0", 2, ()))


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize(("name", "ordinal"), [("gpu", 0), ("gpu:0", 0), ("gpu:1", 1)])
def test_a_gpu_has_a_number(name: str, ordinal: int) -> None:
    device = open_device(name)
    assert (device.name, device.ordinal) == ("gpu", ordinal)
    assert device.reason == f"device = {name}"


@pytest.mark.usefixtures("two_gpus")
def test_a_gpu_that_is_not_there_is_named() -> None:
    with pytest.raises(DeviceError, match=r"no GPU of this number: 2 \(devices: 2"):
        open_device("gpu:2")


@pytest.mark.usefixtures("two_gpus")
@pytest.mark.parametrize("name", ["gpu:", "gpu:x", "cpu:1", "gpu1"])
def test_other_names_are_unknown(name: str) -> None:
    with pytest.raises(DeviceError, match="unknown device"):
        open_device(name)


def test_the_setting_takes_numbers_of_gpus() -> None:
    assert Settings().changed("device", "GPU:1").device == "gpu:1"
    for wrong in ("gpu:", "gpu:a", "gpu:-1", "cpu:0", "tpu"):
        with pytest.raises(BinderError, match="gpu:N"):
            Settings().changed("device", wrong)

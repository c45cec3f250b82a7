"""How arrays get onto a device and back, and on which stream a query works there.

On a GPU: copies through page-locked buffers, two at a time, so that filling one and sending the other overlap. In the
simulator: copies within host memory, so that nothing on the simulated device is an array of the host by accident.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from gpuql.columnar.column import Array
from gpuql.device import Device
from gpuql.memory import faults
from gpuql.memory.pool import open_pool
from gpuql.thresholds import SENT_CHUNK_BYTES, SENT_WHOLE_BYTES


@dataclass(frozen=True, eq=False)
class ArrivingArrays:
    """Arrays on the device whose contents are on their way. :meth:`wait` before reading them or letting them go."""

    arrays: list[Array]
    _copied: Future[None]

    def wait(self) -> list[Array]:
        """The arrays, complete. Errors: what the copy raised."""
        self._copied.result()
        return self.arrays

    def settle(self) -> None:
        """Wait until the copy has ended, well or not."""
        self._copied.exception()


class DeviceLink(Protocol):
    """The way to one device; one per device and process, safe under several threads."""

    def upload(self, array: Array) -> Array:
        """A contiguous copy on the device, complete for what the calling thread's stream does next."""

    def begin_upload(self, arrays: Sequence[Array]) -> ArrivingArrays:
        """Begin to copy arrays while the calling thread's stream goes on working."""

    def download(self, array: Array) -> Array:
        """A copy on the host, of what the calling thread's stream made; waits for it."""

    def running(self) -> AbstractContextManager[Any]:
        """Make a stream of its own, which the context gives, that of the calling thread; complete on leaving it."""

    def on_stream(self, stream: Any) -> AbstractContextManager[Any]:
        """Work on a stream that :meth:`running` gave, whichever thread calls."""

    def finish(self) -> None:
        """Wait for what the calling thread's stream has to do."""

    def finish_all(self) -> None:
        """Wait for what all streams have to do."""

    def free_bytes(self) -> int | None:
        """Bytes that nobody has allocated on the device; None where the host's memory is the device's."""


class SimulatedLink:
    """Copies within host memory."""

    def __init__(self) -> None:
        self._copier = ThreadPoolExecutor(1, thread_name_prefix="gpuql-upload")

    def upload(self, array: Array) -> Array:
        """See ``DeviceLink``."""
        faults.passing(faults.ALLOCATION)
        return np.array(array, order="C")

    def begin_upload(self, arrays: Sequence[Array]) -> ArrivingArrays:
        """See ``DeviceLink``."""
        faults.passing(faults.ALLOCATION)
        targets = [np.empty(array.shape, array.dtype) for array in arrays]

        def copy() -> None:
            for target, array in zip(targets, arrays, strict=True):
                np.copyto(target, array)

        return ArrivingArrays(targets, self._copier.submit(copy))

    def download(self, array: Array) -> Array:
        """See ``DeviceLink``."""
        return np.array(array, order="C")

    def running(self) -> AbstractContextManager[Any]:
        """See ``DeviceLink``: there are no streams."""
        return nullcontext()

    def on_stream(self, stream: Any) -> AbstractContextManager[Any]:
        """See ``DeviceLink``."""
        return nullcontext()

    def finish(self) -> None:
        """See ``DeviceLink``: everything is done when it returns."""

    def finish_all(self) -> None:
        """See ``DeviceLink``."""

    def free_bytes(self) -> int | None:
        """See ``DeviceLink``."""
        return None


class _StagingBuffer:
    """Page-locked bytes, and an event that says when the copy out of them is done."""

    def __init__(self) -> None:
        import cupy
        import cupyx

        self.host = cupyx.empty_pinned(SENT_CHUNK_BYTES, np.uint8)
        self.sent = cupy.cuda.Event(disable_timing=True)


class CudaLink:
    """The way to CUDA device ``ordinal``.

    Streams are kept and used again: arrays remember the stream that they were allocated on, which has to outlive them.
    """

    def __init__(self, ordinal: int) -> None:
        import cupy

        self._cupy: Any = cupy
        self._ordinal = ordinal
        open_pool(ordinal)
        with cupy.cuda.Device(ordinal):
            self._copy_stream = cupy.cuda.Stream(non_blocking=True)
        self._copier = ThreadPoolExecutor(1, thread_name_prefix="gpuql-upload")
        self._idle_streams: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._idle_staging: queue.SimpleQueue[list[_StagingBuffer]] = queue.SimpleQueue()
        self._lock = threading.Lock()

    def upload(self, array: Array) -> Array:
        """See ``DeviceLink``."""
        faults.passing(faults.ALLOCATION)
        source = np.ascontiguousarray(array)
        target = self._cupy.empty(source.shape, source.dtype)
        self._copy(target, source, self._cupy.cuda.get_current_stream())
        return target

    def begin_upload(self, arrays: Sequence[Array]) -> ArrivingArrays:
        """See ``DeviceLink``.

        The calling thread's stream owns the new arrays, so that their memory is not given to others before that stream
        has come to the point where they are let go. The copies wait until it has come to where they are made.
        """
        faults.passing(faults.ALLOCATION)
        targets = [self._cupy.empty(array.shape, array.dtype) for array in arrays]
        allocated = self._cupy.cuda.Event(disable_timing=True)
        allocated.record(self._cupy.cuda.get_current_stream())

        def copy() -> None:
            with self._cupy.cuda.Device(self._ordinal), self._copy_stream:
                self._copy_stream.wait_event(allocated)
                for target, array in zip(targets, arrays, strict=True):
                    self._copy(target, np.ascontiguousarray(array), self._copy_stream)
                self._copy_stream.synchronize()

        return ArrivingArrays(targets, self._copier.submit(copy))

    def _copy(self, target: Array, source: Array, stream: Any) -> None:
        """Send contiguous ``source`` to ``target`` on ``stream``; ``source`` may change afterwards."""
        if source.nbytes <= SENT_WHOLE_BYTES:
            target.set(
                source, stream=stream
            )  # pageable memory: the driver has taken the bytes when this returns
            return
        octets = source.reshape(-1).view(np.uint8)
        with self._staging() as buffers:
            for number, start in enumerate(range(0, len(octets), SENT_CHUNK_BYTES)):
                buffer = buffers[number % len(buffers)]
                chunk = octets[start : start + SENT_CHUNK_BYTES]
                buffer.sent.synchronize()
                buffer.host[: len(chunk)] = chunk
                (target.data + start).copy_from_host_async(buffer.host.ctypes.data, len(chunk), stream)
                buffer.sent.record(stream)

    @contextmanager
    def _staging(self) -> Iterator[list[_StagingBuffer]]:
        """A pair of buffers; their events guard what is still being sent when the next user gets them."""
        try:
            buffers = self._idle_staging.get_nowait()
        except queue.Empty:
            buffers = [_StagingBuffer(), _StagingBuffer()]
        try:
            yield buffers
        finally:
            self._idle_staging.put(buffers)

    def download(self, array: Array) -> Array:
        """See ``DeviceLink``."""
        return self._cupy.asnumpy(array, order="C")

    @contextmanager
    def running(self) -> Iterator[Any]:
        """See ``DeviceLink``."""
        with self._cupy.cuda.Device(self._ordinal):
            try:
                stream = self._idle_streams.get_nowait()
            except queue.Empty:
                stream = self._cupy.cuda.Stream(non_blocking=True)
            with stream:
                try:
                    yield stream
                finally:
                    stream.synchronize()
                    self._idle_streams.put(stream)

    @contextmanager
    def on_stream(self, stream: Any) -> Iterator[Any]:
        """See ``DeviceLink``."""
        with self._cupy.cuda.Device(self._ordinal), stream:
            yield stream

    def finish(self) -> None:
        """See ``DeviceLink``."""
        self._cupy.cuda.get_current_stream().synchronize()

    def finish_all(self) -> None:
        """See ``DeviceLink``."""
        self._cupy.cuda.Device(self._ordinal).synchronize()

    def free_bytes(self) -> int | None:
        """See ``DeviceLink``."""
        with self._cupy.cuda.Device(self._ordinal):
            free, _ = self._cupy.cuda.runtime.memGetInfo()
        return int(free)


def open_link(device: Device) -> DeviceLink:
    """The way to a device that launches kernels."""
    return CudaLink(device.ordinal) if device.name == "gpu" else SimulatedLink()

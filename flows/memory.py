"""Peak memory of this process and its children, sampled, so that a run can say what it needed."""

import threading
from types import TracebackType
from typing import Self

import psutil


class PeakMemory:
    """Sample the resident memory of the process tree twice a second.

    Pages shared between processes are counted once per process, so the figure is an upper bound.
    """

    def __init__(self, interval_s: float = 0.5) -> None:
        self.peak_bytes = 0
        self._interval = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _sample(self) -> int:
        total = 0
        root = psutil.Process()
        for process in [root, *root.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return total

    def _watch(self) -> None:
        while not self._stop.wait(self._interval):
            self.peak_bytes = max(self.peak_bytes, self._sample())

    def __enter__(self) -> Self:
        """Begin to sample."""
        self.peak_bytes = self._sample()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop sampling; `peak_bytes` keeps the maximum."""
        self._stop.set()
        self._thread.join()

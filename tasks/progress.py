"""How far a long stage is: a bar for who watches a terminal, a line in the log now and then for who does not."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from dask.callbacks import Callback
from distributed import Client
from prefect import get_run_logger
from prefect.exceptions import MissingContextError
from tqdm import tqdm

T = TypeVar("T")
_REDRAW_S: Final = 0.5
_LINE_S: Final = 10.0
# Without a total there is nothing to tell but the time that passes.
_CLOCK: Final = "{desc} [{elapsed}{postfix}]"


class Progress:
    """Steps done, steps expected (None: unknown), and what is being done; any thread may count."""

    def __init__(self, total: int | None) -> None:
        self.done, self.total, self.doing = 0, total, ""
        self._lock = threading.Lock()

    def advance(self, done: int = 1, expected: int = 0) -> None:
        """Add `done` to the steps done and `expected` to those expected."""
        with self._lock:
            self.done += done
            if expected:
                self.total = (self.total or 0) + expected

    def over(self, items: Iterable[T], label: Callable[[T], object] = str) -> Iterator[T]:
        """Give each of `items`, tell by its `label` what is being done, and count it when the next is asked for."""
        for item in items:
            self.doing = str(label(item))
            yield item
            self.advance()
        self.doing = ""


@contextmanager
def progress(
    stage: str, total: int | None = None, unit: str = "step", look: Callable[[Progress], None] | None = None
) -> Iterator[Progress]:
    """Show how far `stage` is until the `with` ends: count, rate and time left, or time alone without a `total`.

    On a terminal (standard error) a bar is redrawn twice a second, below the lines of the log; elsewhere the log of
    the flow or task run gets a line every 10 s and one at the end. A thread of its own draws, so that
    the time moves while a step is long; what it cannot draw never ends the stage.

    Parameters
    ----------
    total : int, optional
        Steps expected.
    unit : str
        What one step is, in the singular.
    look : callable, optional
        Called before each drawing to bring the count up to date.
    """
    told = Progress(total)
    shown: _Bar | _Lines = (_Bar if sys.stderr.isatty() else _Lines)(stage, total, unit)
    ended = threading.Event()

    def draw() -> None:
        with suppress(OSError):  # a scheduler or a terminal that has gone
            if look is not None:
                look(told)
            shown.draw(told)

    def draw_now_and_then() -> None:
        while not ended.wait(shown.interval_s):
            draw()

    drawing = threading.Thread(target=draw_now_and_then, name=f"progress of {stage}", daemon=True)
    drawing.start()
    try:
        yield told
    finally:
        ended.set()
        drawing.join()
        draw()
        shown.close()


@contextmanager
def dask_progress(stage: str, client: Client) -> Iterator[Progress]:
    """Show how many Dask tasks are finished, of those asked for so far: the total grows with each computation.

    Counts what the scheduler of `client` works on, for whomever, and what is computed in threads of this process.
    """
    local = Progress(0)
    before = client.run_on_scheduler(_scheduler_counts)[0]

    def asked(_graph: object, state: Mapping[str, Any]) -> None:
        local.advance(0, expected=len(state["ready"]) + len(state["waiting"]))

    def finished(*_: object) -> None:
        local.advance()

    def look(told: Progress) -> None:
        done, left = client.run_on_scheduler(_scheduler_counts)
        told.done = done - before + local.done
        told.total = told.done + left + (local.total or 0) - local.done

    with progress(stage, 0, "task", look) as told, Callback(start_state=asked, posttask=finished):
        yield told


def _scheduler_counts(dask_scheduler: Any) -> tuple[int, int]:
    """Return how many tasks the scheduler ever finished, and how many wait or run."""
    kinds = list(dask_scheduler.task_prefixes.values())
    open_states = ("waiting", "no-worker", "queued", "processing")
    return (
        sum(kind.state_counts["memory"] for kind in kinds),
        sum(kind.states[state] for kind in kinds for state in open_states),
    )


class _Bar:
    """A bar on the terminal."""

    interval_s = _REDRAW_S

    def __init__(self, stage: str, total: int | None, unit: str) -> None:
        _write_log_above_bars()
        form = _CLOCK if total is None else None
        self._bar = tqdm(
            desc=stage, total=total, unit=unit, bar_format=form, file=sys.stderr, dynamic_ncols=True
        )

    def draw(self, told: Progress) -> None:
        self._bar.n, self._bar.total = told.done, told.total
        self._bar.set_postfix_str(told.doing)

    def close(self) -> None:
        self._bar.close()


class _Lines:
    """Lines in the log of the run to which the calling thread belongs."""

    interval_s = _LINE_S

    def __init__(self, stage: str, total: int | None, unit: str) -> None:
        self._form = {"prefix": stage, "unit": unit, "bar_format": _CLOCK if total is None else None}
        self._started = time.monotonic()
        self._log: logging.Logger | logging.LoggerAdapter[Any]
        try:
            self._log = get_run_logger()
        except MissingContextError:
            self._log = logging.getLogger(__name__)

    def draw(self, told: Progress) -> None:
        elapsed = time.monotonic() - self._started
        # zero columns: the figures of a bar without the bar
        line = tqdm.format_meter(told.done, told.total, elapsed, ncols=0, postfix=told.doing, **self._form)
        self._log.info("%s", line)

    def close(self) -> None:
        """Leave the last line as it is."""


class _AboveBars(logging.Handler):
    """Hand records on to a handler that writes to the terminal, while the bars are out of its way."""

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__(handler.level)
        self._handler = handler

    def emit(self, record: logging.LogRecord) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            self._handler.handle(record)


def _write_log_above_bars() -> None:
    """Put an `_AboveBars` before the root's handlers of the terminal, Prefect's among them; again has no effect."""
    root = logging.getLogger()
    root.handlers = [
        _AboveBars(h) if isinstance(h, logging.StreamHandler) and h.stream in (sys.stdout, sys.stderr) else h
        for h in root.handlers
    ]

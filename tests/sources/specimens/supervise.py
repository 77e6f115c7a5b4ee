"""Trials in a process of their own, which may hang or die: then the next one goes on with the next trial."""

import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
WORKER: Final = (sys.executable, "-m", "tests.sources.specimens.trial")
_MARK: Final = b"OUTCOME "


def supervise(
    trials: Iterable[Sequence[object]], limit_s: float, worker: Sequence[str] = WORKER
) -> Iterator[tuple[Sequence[object], str, str]]:
    """Yield each trial with its outcome and what was said: `hangs` past the limit, `crashes` if the worker died."""
    process: subprocess.Popen[bytes] | None = None
    try:
        for trial in trials:
            if process is None:
                process = _start(worker)
            assert process.stdin is not None
            process.stdin.write(json.dumps(list(trial)).encode() + b"\n")
            process.stdin.flush()
            answer = _answer(process, limit_s)
            if answer is not None:
                kind, said = json.loads(answer)
                yield trial, kind, said
                continue
            kind = "hangs" if process.poll() is None else "crashes"
            _end(process)
            yield trial, kind, f"{list(trial)}: the process ended with {process.returncode}"
            process = None
    finally:
        if process is not None:
            _end(process)


def _start(worker: Sequence[str]) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        worker, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    with process:  # waits, and closes its pipes
        pass


def _answer(process: subprocess.Popen[bytes], limit_s: float) -> bytes | None:
    """Return the worker's next answer; None if it does not come in time, or the worker ended."""
    assert process.stdout is not None
    until, said = time.monotonic() + limit_s, b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while (left := until - time.monotonic()) > 0:
            if not selector.select(left):
                continue
            block = os.read(process.stdout.fileno(), 1 << 16)
            if not block:
                process.wait()
                return None
            said += block
            for line in said.splitlines(keepends=True):
                if line.startswith(_MARK) and line.endswith(b"\n"):
                    return line.removeprefix(_MARK)
    return None

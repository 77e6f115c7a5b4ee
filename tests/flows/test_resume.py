"""A run that is killed with SIGKILL goes on where it was: finished stages are not repeated."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.server


def _start(environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as sink:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", "run", "tiny", "--epochs", "3"],
            env=environment,
            cwd=ROOT,
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _kill_when(process: subprocess.Popen[bytes], log: Path, text: str, seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if text in log.read_text(errors="replace"):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=30)
            return
        assert process.poll() is None, log.read_text(errors="replace")[-2000:]
        time.sleep(0.05)
    raise AssertionError(f"{text!r} was not printed within {seconds} s")


def test_a_run_killed_twice_repeats_only_the_stages_it_was_in(state: dict[str, str], tmp_path: Path) -> None:
    environment = state | {"QUAKECUBE_HOME": str(tmp_path / "state")}
    logs = [tmp_path / f"{n}.log" for n in range(3)]
    # In the middle of the ingest, then in the middle of a training.
    _kill_when(_start(environment, logs[0]), logs[0], "'ingest-gnss/ngl' - Finished in state Completed")
    _kill_when(_start(environment, logs[1]), logs[1], "gated epoch 1:")
    process = _start(environment, logs[2])
    assert process.wait(timeout=400) == 0, logs[2].read_text()[-3000:]
    second, third = (log.read_text() for log in logs[1:])
    for stage in ("simulate-tiny-1", "ingest-catalog/network", "ingest-gnss/ngl"):
        assert f"'{stage}' - Finished in state Cached" in second, stage
    for stage in ("align-tiny", "fit-baselines-tiny", "rate-training-days-tiny", "train-concat-tiny"):
        assert f"'{stage}' - Finished in state Cached" in third, stage
    assert "'train-gated-tiny' - Finished in state Completed" in third
    assert (tmp_path / "state" / "reports" / "latest" / "summary.json").is_file()

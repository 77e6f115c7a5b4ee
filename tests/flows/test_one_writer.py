"""Runs ingest one after the other, and one that is killed does not keep the next waiting."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import tasks.ingest as stage
from tasks.cubes.store import StoreBusy
from tasks.workspace import Workspace

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from tasks.ingest import writing_turn
from tasks.workspace import Workspace
with writing_turn(Workspace(home=Path(sys.argv[1]), conf=Path(sys.argv[2]), tracking_uri="sqlite://")):
    print("in", flush=True)
    time.sleep(300)
"""


@pytest.fixture
def workspace(tmp_path: Path, conf: Path) -> Workspace:
    return Workspace(home=tmp_path, conf=conf, tracking_uri="sqlite://")


@pytest.fixture
def kill_other_run(workspace: Workspace) -> Iterator[Callable[[], None]]:
    """Kill, with SIGKILL, the run of another process that is ingesting into the workspace until then."""
    command = [sys.executable, "-c", HOLDER, str(workspace.home), str(workspace.conf)]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    ) as other:

        def kill() -> None:
            other.send_signal(signal.SIGKILL)
            other.wait(timeout=30)

        try:
            assert other.stdout is not None
            assert other.stdout.readline() == "in\n"
            yield kill
        finally:
            kill()


def test_a_second_run_waits_its_time_and_says_which_lock_is_held_and_a_killed_one_frees_it(
    workspace: Workspace, kill_other_run: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "_PATIENCE_S", 0.5)  # ten minutes otherwise
    started = time.monotonic()
    with (
        pytest.raises(StoreBusy, match=r"\.ingest\.lock: another run has been ingesting"),
        stage.writing_turn(workspace),
    ):
        raise AssertionError("two runs ingested at once")
    assert time.monotonic() - started >= 0.5

    kill_other_run()
    with stage.writing_turn(workspace):
        pass

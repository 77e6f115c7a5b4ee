"""A bar where somebody watches, lines in the log where nobody does: in processes with a real terminal, a real pipe."""

import fcntl
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from pathlib import Path

import dask.array as da
import pytest

from tasks.cubes.cluster import dask_cluster
from tasks.progress import dask_progress, progress

COUNTING = """
import logging, sys, time
from prefect.logging.configuration import setup_logging
from tasks import progress as module

setup_logging()
logging.getLogger("tasks").setLevel(logging.INFO)
module._Lines.interval_s = {line_s}
with module.progress("count sheep", {total}, "sheep") as told:
    for sheep in told.over(range(3), "sheep {{}}".format):
        time.sleep(0.7)
        logging.getLogger("prefect.tests").info("jumped %d", sheep)
print("over", file=sys.stderr)
"""


def counting(total: int | None = 3, line_s: float = 10.0) -> list[str]:
    return [sys.executable, "-c", COUNTING.format(total=total, line_s=line_s)]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The tests' environment less Prefect's settings and the size of the terminal that they run in."""
    dropped = ("PREFECT_", "COLUMNS", "LINES")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    return kept | {
        "PREFECT_HOME": str(tmp_path),
        "DO_NOT_TRACK": "1",
        "TERM": "xterm",
    }


def in_terminal(command: list[str], environment: dict[str, str]) -> str:
    """Return what the command writes to a pseudo-terminal of 110 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65_536):
            written += piece
    except OSError:
        pass  # Linux's way to say that nobody holds the other end any more
    finally:
        os.close(ours)
    assert process.wait(60) == 0, written.decode()
    return written.decode()


def screen(written: str) -> list[str]:
    """Return the lines that the terminal shows in the end: what follows a carriage return is written over."""
    lines = []
    for line in re.sub(r"\x1b\[[0-9;]*m", "", written).replace("\r\n", "\n").split("\n"):
        shown: list[str] = []
        for part in line.split("\r"):
            shown[: len(part)] = part
        lines.append("".join(shown).rstrip())
    return lines


def test_a_terminal_gets_a_moving_bar_and_whole_lines_of_log(environment: dict[str, str]) -> None:
    written = in_terminal(counting(), environment)
    seen = re.findall(r"count sheep: +(\d+)%\|[^|]*\| (\d)/3 \[00:0\d<[0-9:?]+, +([^,\]]+)", written)
    assert [n for n in ("0", "1", "2", "3") if n in {done for _, done, _ in seen}] == ["0", "1", "2", "3"]
    assert any(rate.endswith("sheep/s") for _, _, rate in seen)
    assert "sheep 2]" in written, "the step that is being done"
    *lines, bar, over = [line for line in screen(written) if line]
    assert over == "over"
    assert bar.startswith("count sheep: 100%|█")
    assert len(bar) <= 110
    assert len(lines) == 3
    for number, line in enumerate(lines):
        assert re.fullmatch(rf"\d\d:\d\d:\d\d\.\d{{3}} \| INFO    \| prefect\.tests - jumped {number}", line)


def test_a_pipe_gets_one_plain_line_from_a_short_stage(environment: dict[str, str]) -> None:
    done = subprocess.run(counting(), env=environment, capture_output=True, text=True, check=True)
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr
    told = [line for line in done.stderr.splitlines() if "count sheep" in line]
    assert len(told) == 1
    assert re.search(
        r"INFO +\| tasks\.progress - count sheep: 100% 3/3 \[00:02<00:00, +1\.\d+sheep/s\]$", told[0]
    )
    assert done.stderr.splitlines()[-2:] == [told[0], "over"]


def test_a_pipe_hears_of_a_long_stage_now_and_then(environment: dict[str, str]) -> None:
    command = counting(line_s=0.5)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    told = [line for line in done.stderr.splitlines() if "count sheep" in line]
    assert 3 <= len(told) <= 6  # 2.1 s and the end
    assert "count sheep:   0% 0/3 [00:00<?, ?sheep/s, sheep 0]" in told[0]


def test_a_stage_of_unknown_length_shows_the_time_alone(environment: dict[str, str]) -> None:
    written = in_terminal(counting(total=None), environment)
    assert "count sheep [00:02]" in screen(written)
    assert "%" not in written
    assert "sheep/s" not in written


@pytest.mark.usefixtures("capsys")  # captured, hence no terminal
def test_a_stage_that_fails_tells_how_far_it_came(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "tasks.progress")

    def limp() -> None:
        with progress("count sheep", 4, "sheep") as told:
            for sheep in told.over(range(4)):
                if sheep == 2:
                    raise ValueError("a lame sheep")

    with pytest.raises(ValueError, match="lame"):
        limp()
    assert [m for m in caplog.messages if "count sheep:  50% 2/4" in m and m.endswith(", 2]")]
    assert not [t for t in threading.enumerate() if t.name == "progress of count sheep"]


@pytest.mark.usefixtures("capsys")
def test_what_cannot_be_looked_up_does_not_end_the_stage() -> None:
    def gone(_told: object) -> None:
        raise ConnectionResetError("the scheduler has gone")

    with progress("count sheep", 1, "sheep", gone) as told:
        told.advance()
    assert told.done == 1


@pytest.mark.usefixtures("capsys")
def test_no_step_is_lost_between_threads() -> None:
    with progress("count sheep", 0, "sheep") as told:

        def herd() -> None:
            for _ in range(2000):
                told.advance(1, expected=1)

        herds = [threading.Thread(target=herd) for _ in range(4)]
        for each in herds:
            each.start()
        for each in herds:
            each.join()
    assert told.done == told.total == 8000


@pytest.mark.usefixtures("capsys")
def test_dask_tasks_are_counted_on_the_cluster_and_in_threads() -> None:
    array = da.ones((8, 8), chunks=2) + 1  # 16 tasks at least, however they are fused
    with dask_cluster(None, 1) as client:
        assert int(array.sum().compute()) == 128  # before: not counted
        with dask_progress("compute", client) as told:
            pass
        assert (told.done, told.total) == (0, 0)
        with dask_progress("compute", client) as told:
            assert int((array * 2).sum().compute()) == 256
        on_cluster = told.done
        with dask_progress("compute", client) as told:
            assert int((array * 3).sum().compute(scheduler="threads")) == 384
        in_threads = told.done
        with dask_progress("compute", client) as told:
            assert int((array * 4).sum().compute()) == 512
            assert int((array * 5).sum().compute(scheduler="threads")) == 640
    assert on_cluster >= 16
    assert in_threads >= 16
    assert told.done == told.total == on_cluster + in_threads

"""Kill -9 of a process that ingests, commits and builds cubes, at random moments: nothing that was stored is lost.

The process says each snapshot id once its commit has returned. After each kill every such snapshot must read back with
the content that it had, the newest must be one that was said or was about to be, and the next writer must be able to
write. Target: `lost` = 0.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.cubes.store import CubeRef, CubeStore, ObservationStore, open_cube

TRIALS: Final = 50
LONGEST_S: Final = 3.0
SEED: Final = 5
DAY: Final = np.timedelta64(86_400_000_000_000, "ns")
_ROOT: Final = Path(__file__).resolve().parents[2]


class Faults(NamedTuple):
    """How many processes were killed at work, after how many something was lost, and what they had committed."""

    trials: int
    lost: int
    commits: int


def measure(settings: Settings) -> Measured:
    """Kill fifty processes, each at another moment of its work."""
    found = kill_at_random(TRIALS)
    figures = {name: float(value) for name, value in found._asdict().items()}
    return Measured(figures, n=found.trials, seed=SEED)


def kill_at_random(trials: int) -> Faults:
    """Kill `trials` processes at work and look after each."""
    rng = random.Random(SEED)
    lost = 0
    with tempfile.TemporaryDirectory(prefix="quakecube-bench-") as home:
        root = Path(home)
        said: list[str] = []
        for trial in range(trials):
            new = _killed_writer(root, trial, rng.uniform(0.0, LONGEST_S))
            said += new
            # All of the older ones are read in the end; a few at each step tell when something went.
            lost += not _is_whole(root, new + rng.sample(said, min(4, len(said))))
        lost += not _is_whole(root, said)
    return Faults(trials, lost, len(said))


def _killed_writer(root: Path, trial: int, after_s: float) -> list[str]:
    """Start a writer, kill it `after_s` seconds after it began its work, and return the lines that it said."""
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), str(root), str(trial)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        if writer.stdout.readline() != "begin\n":
            raise RuntimeError("the writer ended before it began")
        time.sleep(after_s)
        writer.kill()
        if writer.wait() != -signal.SIGKILL:
            raise RuntimeError("the writer ended by itself, before it was killed")
        # A line that was cut off was not said.
        return [
            line.strip() for line in writer.stdout.read().splitlines(keepends=True) if line.endswith("\n")
        ]


def _is_whole(root: Path, said: list[str]) -> bool:
    """Tell whether every snapshot that was said reads back as it was, and the store takes another write."""
    store, cubes = ObservationStore(root / "o", "x"), CubeStore(root / "c", "x")
    histories = {
        "o": {snapshot for snapshot, _ in store.history()},
        "c": {snapshot for snapshot, _ in cubes.history()},
    }
    for line in said:
        kind, snapshot, digest = line.split()
        if snapshot not in histories[kind] or _digest(root, kind, snapshot) != digest:
            return False
    before = len(histories["o"])
    store.write("gnss/after", _observations(before, 1))
    return len(store.history()) == before + 1


def _digest(root: Path, kind: str, snapshot: str) -> str:
    """Return the digest of all that a snapshot holds."""
    if kind == "c":
        groups = open_cube(CubeRef(uri=str(root / "c"), region="x", snapshot=snapshot))
    else:
        store = ObservationStore(root / "o", "x")
        groups = {
            name: found
            for name in store.groups(snapshot)
            if (found := store.read(name, snapshot)) is not None
        }
    sha = hashlib.sha256()
    for name in sorted(groups):
        for key in sorted(map(str, groups[name].variables)):
            sha.update(f"{name}/{key}".encode() + np.ascontiguousarray(groups[name][key].values).tobytes())
    return sha.hexdigest()


def _observations(first_day: int, days: int) -> xr.Dataset:
    rng = np.random.default_rng(first_day)
    moment = np.datetime64("2020-01-01", "ns") + (first_day + np.arange(days)) * DAY
    return xr.Dataset(
        {
            "v": (("time", "lat", "lon"), rng.normal(size=(days, 30, 30))),
            "available_time": ("time", moment + DAY),
        },
        coords={"time": moment, "lat": np.arange(30.0), "lon": np.arange(30.0)},
    )


def _write(root: Path, trial: int) -> None:
    """Ingest, revise and build cubes without end, and say what was committed."""
    store, cubes = ObservationStore(root / "o", "x"), CubeStore(root / "c", "x")
    store.snapshot()  # the first opening of a repository loads libraries for a second
    sys.stdout.write("begin\n")
    sys.stdout.flush()
    for step in range(10_000):
        first = trial * 7 + step
        snapshot = store.write("weather/a", _observations(first, 5))
        _say("o", snapshot, root)
        whole = store.read("weather/a")
        assert whole is not None
        ref = cubes.write({"weather": whole.load().assign(v=whole["v"] + float(step))}, "cube")
        _say("c", ref.snapshot, root)


def _say(kind: str, snapshot: str, root: Path) -> None:
    sys.stdout.write(f"{kind} {snapshot} {_digest(root, kind, snapshot)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _write(Path(sys.argv[1]), int(sys.argv[2]))

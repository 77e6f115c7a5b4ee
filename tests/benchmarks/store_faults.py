"""Kill -9 of a process that ingests, commits and builds cubes, at random moments: nothing is lost, nothing is half.

The process does steps of work as the flows do: it stores what arrived, and brings the cube up to date. It tells each
phase as it enters it, and each snapshot with its content once its commit has returned; a kill comes a random part of
a phase's usual time after the phase began, and counts for the phase that was told last. After each kill every snapshot
that was told must read back as it was, and the step that was cut off, done again, must give what a run gives that
was never killed. Target: `lost` = 0.
"""

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import date
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import icechunk
import numpy as np
import xarray as xr

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.cubes.proof import Proof
from tasks.cubes.store import CubeRef, CubeStore, ObservationStore, open_cube
from tasks.cubes.update import follow, reader
from tasks.regions import Bounds, Region, SourceConfig, Split

TRIALS: Final = 51
PHASES: Final = ("ingest", "commit", "build")
SEED: Final = 5
DAY: Final = np.timedelta64(86_400_000_000_000, "ns")
START: Final = np.datetime64("2020-01-01", "ns")
# Days that are there from the first step on, and those that arrive late, a day every other step.
BEGUN: Final = 420
GAP: Final = range(150, 240)
_ROOT: Final = Path(__file__).resolve().parents[2]


class Faults(NamedTuple):
    """How many processes were killed at work and in which phase, after how many something was lost, what was told."""

    trials: int
    lost: int
    commits: int
    kills_ingest: int
    kills_commit: int
    kills_build: int
    kills_between: int


def measure(settings: Settings) -> Measured:
    """Kill at least fifty processes, as many in each phase."""
    found = kill_at_random(TRIALS)
    figures = {name: float(value) for name, value in found._asdict().items()}
    names = ("trials", "kills_ingest", "kills_commit", "kills_build", "commits", "lost")
    table = "\n".join(
        [
            "| killed | in ingest | in a commit | in a cube build | commits before | lost |",
            "|" + "---:|" * len(names),
            "| " + " | ".join(f"{figures[name]:.0f}" for name in names) + " |",
        ]
    )
    return Measured(figures, n=found.trials, seed=SEED, tables={"faults": table})


def kill_at_random(trials: int) -> Faults:
    """Kill processes at work until each phase was hit by a third of `trials`, and look after each kill."""
    rng = random.Random(SEED)
    kills: Counter[str] = Counter()
    lost = step = 0
    with tempfile.TemporaryDirectory(prefix="quakecube-bench-") as home:
        killed, unkilled = Path(home) / "killed", Path(home) / "unkilled"
        expected, usual = _undisturbed(unkilled)
        said: list[str] = []
        while any(kills[phase] < trials // len(PHASES) for phase in PHASES):
            if kills.total() > 4 * trials:
                raise RuntimeError(f"expected kills in every phase, found {dict(kills)}")
            wanted = min(PHASES, key=lambda phase: kills[phase])
            # A step commits two sources and the cube.
            later = rng.randrange(3 if wanted == "commit" else 2)
            lines = _killed_worker(killed, step, wanted, later, rng.random() * usual[wanted])
            kills[phase_of(lines)] += 1
            step = max(int(line.split()[1]) for line in lines if line.startswith("step "))
            new = [line for line in lines if line.startswith("snapshot ")]
            said += new
            # All of the older ones are read in the end; a few at each step tell when something went.
            is_whole = all(reads_back(killed, line) for line in new + rng.sample(said, min(3, len(said))))
            do_step(killed, step)
            while len(expected) <= step:
                do_step(unkilled, len(expected))
                expected.append(latest(unkilled))
            lost += not (is_whole and latest(killed) == expected[step])
            step += 1
        lost += not all(reads_back(killed, line) for line in said)
    between = kills.total() - sum(kills[phase] for phase in PHASES)
    return Faults(kills.total(), lost, len(said), *(kills[phase] for phase in PHASES), between)


def phase_of(lines: list[str]) -> str:
    """Return the phase that was told last: one of `PHASES`, or `between` from the return of a commit on."""
    return lines[-1] if lines[-1] in PHASES else "between"


def _undisturbed(root: Path) -> tuple[list[tuple[str, str]], dict[str, float]]:
    """Do the first steps; return the content after each, and how long a phase takes."""
    said: list[tuple[float, str]] = []
    contents: list[tuple[str, str]] = []

    def tell(line: str) -> None:
        said.append((time.monotonic(), line))

    with _telling(tell):
        for step in range(3):
            do_step(root, step, tell)
            contents.append(latest(root))
    seconds: dict[str, list[float]] = {phase: [] for phase in PHASES}
    for (then, line), (now, _) in pairwise(said):
        if line in seconds:
            seconds[line].append(now - then)
    return contents, {phase: median(found) for phase, found in seconds.items()}


def _killed_worker(root: Path, first: int, phase: str, later: int, after_s: float) -> list[str]:
    """Start a worker at step `first`, kill it `after_s` into `phase` of that step or the `later`-th after it.

    Returns the lines that it told.
    """
    environment = {**os.environ, "PYTHONPATH": str(_ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(Path(__file__).resolve()), str(root), str(first)]
    lines: list[str] = []
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout is not None
        while lines.count(phase) <= later:
            line = worker.stdout.readline()
            if not line:
                raise RuntimeError(f"the worker ended by itself in {phase_of(lines)!r}, before it was killed")
            lines.append(line.strip())
        time.sleep(after_s)
        worker.kill()
        if worker.wait() != -signal.SIGKILL:
            raise RuntimeError("the worker ended by itself, before it was killed")
        # A line that was cut off was not told.
        lines += [
            rest.strip() for rest in worker.stdout.read().splitlines(keepends=True) if rest[-1:] == "\n"
        ]
    return lines


def do_step(root: Path, step: int, tell: Any = lambda line: None) -> None:
    """Store what arrives at `step` and bring the cube up to date; done again, it changes nothing."""
    region, store, cubes = _region(), ObservationStore(root / "o", "x"), CubeStore(root / "c", "x")
    tell(f"step {step}")
    for group, dataset in arriving(step).items():
        tell("ingest")
        snapshot = store.write(group, dataset)
        tell(f"snapshot o {snapshot} {content(root, 'o', snapshot)}")
    tell("build")
    ref = follow(region, store, snapshot, cubes, Proof(region, reader(store, snapshot)))
    tell(f"snapshot c {ref.snapshot} {content(root, 'c', ref.snapshot)}")


def reads_back(root: Path, line: str) -> bool:
    """Tell whether a snapshot that was told is in the history and holds what it held."""
    _, kind, snapshot, digest = line.split()
    store = ObservationStore(root / "o", "x") if kind == "o" else CubeStore(root / "c", "x")
    return snapshot in dict(store.history()) and content(root, kind, snapshot) == digest


def latest(root: Path) -> tuple[str, str]:
    """Return the content of the newest observations and of the newest cube."""
    snapshots = ObservationStore(root / "o", "x").snapshot(), CubeStore(root / "c", "x").latest()
    assert snapshots[0] is not None
    assert snapshots[1] is not None
    return content(root, "o", snapshots[0]), content(root, "c", snapshots[1].snapshot)


def content(root: Path, kind: str, snapshot: str) -> str:
    """Return the digest of all that a snapshot holds."""
    if kind == "c":
        groups = open_cube(CubeRef(uri=str(root / "c"), region="x", snapshot=snapshot))
    else:
        store = ObservationStore(root / "o", "x")
        groups = {n: found for n in store.groups(snapshot) if (found := store.read(n, snapshot)) is not None}
    sha = hashlib.sha256()
    for name in sorted(groups):
        for key in sorted(map(str, groups[name].variables)):
            values = groups[name][key].values
            text = (
                "\0".join(map(str, values.ravel())).encode()
                if values.dtype.kind in "OT"
                else values.tobytes()
            )
            sha.update(f"{name}/{key}".encode() + text)
    return sha.hexdigest()


def arriving(step: int) -> dict[str, xr.Dataset]:
    """Return what arrives at `step`: the history, then by turns a new day, and an old one that rebuilds the cube."""
    if step == 0:
        days = np.array([day for day in range(BEGUN) if day not in GAP])
    else:
        days = np.array([BEGUN + step // 2 if step % 2 else GAP[(step // 2 - 1) % len(GAP)]])
    rng = np.random.default_rng(step)
    moment = START + days * DAY
    n = days.size
    events = {
        "event_id": np.array([f"e{day}" for day in days], dtype=object), "latitude": rng.uniform(35, 36, n),
        "longitude": rng.uniform(-118, -117, n), "depth_km": rng.uniform(1, 15, n),
        "magnitude": rng.uniform(3, 6, n), "magnitude_error": np.full(n, np.nan),
        "magnitude_type": np.full(n, "ml", dtype=object), "event_type": np.full(n, "earthquake", dtype=object),
        "origin_time": moment + DAY // 3, "available_time": moment + DAY // 2,
        "quality_flag": np.zeros(n, np.uint8),
    }  # fmt: skip
    fields = {
        name: (("time", "lat", "lon"), rng.normal(size=(n, 4, 4)))
        for name in ("air_temperature", "zenith_delay")
    }
    return {
        "catalog/a": xr.Dataset({k: ("event", v) for k, v in events.items()}, attrs={"modality": "catalog"}),
        "weather/b": xr.Dataset(
            {**fields, "available_time": ("time", moment + 2 * DAY)},
            coords={"time": moment + DAY, "lat": np.arange(34.9, 36.4, 0.4), "lon": np.arange(-118.1, -116.6, 0.4)},
        ),
    }  # fmt: skip


def _region() -> Region:
    start, trained, end = date(2020, 1, 1), date(2020, 12, 31), date(2021, 9, 1)
    return Region(
        name="x", title="X", bounds=Bounds(south=35.0, north=36.0, west=-118.0, east=-117.0), resolution_deg=0.05,
        start=start, end=end, catalog_start=start, etas_start=start, magnitude_completeness=3.0,
        split=Split(
            train_start=start, train_end=trained, validation_start=trained, validation_end=date(2021, 1, 20),
            test_start=date(2021, 1, 20), test_end=end,
        ),
        sources=[
            SourceConfig(name="a", modality="catalog", provider="comcat", path="c"),
            SourceConfig(name="b", modality="weather", provider="era5", path="w"),
        ],
    )  # fmt: skip


class _telling:  # noqa: N801 - reads as a verb where it is used
    """Tell `commit` before every commit, and `committed` when it has returned; what commits is Icechunk's own."""

    def __init__(self, tell: Any) -> None:
        self._tell, self._commit = tell, icechunk.Session.commit

    def __enter__(self) -> None:
        def commit(session: icechunk.Session, *arguments: Any, **options: Any) -> Any:
            self._tell("commit")
            done = self._commit(session, *arguments, **options)
            self._tell("committed")
            return done

        icechunk.Session.commit = commit

    def __exit__(self, *_: object) -> None:
        icechunk.Session.commit = self._commit


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    with _telling(_say):
        for number in range(int(sys.argv[2]), 10_000):
            do_step(Path(sys.argv[1]), number, _say)

"""One payload of one reader, damaged, through the real ingest into a store that holds the undamaged one, or nothing.

As a program it is the worker of `supervise.py`: a trial a line comes in as JSON, its outcome goes out as JSON.
"""

import json
import resource
import shutil
import sys
import tempfile
import traceback
import warnings
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import xarray as xr

from tasks.cubes.store import ObservationStore
from tasks.ingest import IngestReport, ingest_source
from tasks.regions import Bounds, Region, SourceConfig, Split
from tasks.sources.contract import SourceError
from tasks.workspace import Workspace
from tests.sources.specimens.damage import ANY, PACKED, TEXT, Damage, payloads_of
from tests.sources.specimens.judge import in_other_unit, is_equal, looks_ahead
from tests.sources.specimens.labels import labels_of
from tests.sources.specimens.registry import ALL

_MEMORY: Final = 12 << 30
OUTCOMES: Final = (
    "clear_errors", "quarantined", "unchanged", "changed_plausible", "crashes", "harmed", "wrong_unit", "looks_ahead",
)  # fmt: skip


class Trial(NamedTuple):
    """What is done to the payloads of `provider`.

    Attributes
    ----------
    kind : {"damage", "confused", "label"}
        Bytes changed on their way; numbers in a unit that nobody states; a unit stated that is not that of the numbers.
    what : str
        Name of the damage or confusion, number of the label.
    onto_stored : bool
        The store holds the undamaged payloads already.
    """

    provider: str
    kind: str
    what: str
    seed: int
    onto_stored: bool


class Outcome(NamedTuple):
    """One of OUTCOMES, and what was said."""

    kind: str
    said: str


def trials_of(provider: str, n_damages: int, seed: int) -> Iterator[Trial]:
    """Yield `n_damages` damages drawn from all that there are, and every confusion and label."""
    rng = np.random.default_rng([seed, *provider.encode()])
    names = [*ANY, *TEXT, *PACKED]
    with tempfile.TemporaryDirectory() as folder:
        ALL[provider].write(Path(folder))
        contents = [path.read_bytes() for path in payloads_of(Path(folder))]
        applies = [
            name
            for name in names
            if any(_damage(name)(c, np.random.default_rng(0)) is not None for c in contents)
        ]
        labels = sum(1 for _ in labels_of(Path(folder)))
    drawn = (
        rng.permutation(applies)
        if n_damages >= len(applies)
        else rng.choice(applies, n_damages, replace=False)
    )
    for k, name in enumerate(drawn):
        yield Trial(provider, "damage", str(name), int(rng.integers(1 << 31)), k % 2 == 0)
    for name in ALL[provider].confused:
        yield Trial(provider, "confused", name, 0, False)
        yield Trial(provider, "confused", name, 0, True)
    for k in range(labels):
        yield Trial(provider, "label", str(k), 0, k % 2 == 0)


class Prepared(NamedTuple):
    """The undamaged payloads of a reader, a state folder that holds them, and what was stored."""

    provider: str
    archive: Path
    home: Path
    stored: xr.Dataset


def prepare(provider: str, root: Path) -> Prepared:
    """Write the specimen of `provider` below `root` and ingest it."""
    config = ALL[provider].config(provider)
    archive, home = root / f"{provider}-sound", root / f"{provider}-home"
    ALL[provider].write(archive)
    _ingest(home, config, archive)
    stored = ObservationStore(home / "observations", "toy").read(config.group)
    assert stored is not None
    return Prepared(provider, archive, home, stored.load())


def run(trial: Trial, prepared: Prepared, root: Path) -> Outcome:
    """Ingest the payloads of `trial` in the folder `root` and judge what came of it."""
    config = ALL[trial.provider].config(trial.provider)
    archive, home, expected = root / "archive", root / "home", prepared.stored
    shutil.copytree(prepared.archive, archive, copy_function=shutil.copy2)
    if trial.onto_stored:
        shutil.copytree(prepared.home, home)
    store = ObservationStore(home / "observations", "toy")
    before = store.snapshot()
    told = _change(trial, archive)

    try:
        report = _ingest(home, config, archive)
    except SourceError as error:
        report = IngestReport(group=config.group, status="unavailable", messages=[str(error)])
    except BaseException:  # noqa: BLE001 - whatever it is, it is what this looks for
        return Outcome("crashes", f"{told}: {traceback.format_exc(limit=-3)}")
    said = f"{told}: {report.status} {report.messages}"
    if list(root.parent.rglob("escaped*")) or list(root.rglob("escaped*")):
        return Outcome("harmed", f"{said}: a member left its archive")
    if trial.onto_stored:
        kept = store.read(config.group, before)
        if kept is None or not is_equal(kept.load(), expected):
            return Outcome("harmed", f"{said}: what was stored before is not what it was")
    after = store.read(config.group)
    if report.status in ("invalid", "empty", "unavailable", "failed"):
        if store.snapshot() != before:
            return Outcome("harmed", f"{said}: a commit of nothing")
        named = report.messages and str(archive) in report.messages[0]
        return Outcome("clear_errors" if named and report.status != "failed" else "crashes", said)
    if after is None:
        return Outcome("crashes", f"{said}: nothing stored, nothing said")
    return _judged(trial, report, expected, after.load(), said)


def _judged(
    trial: Trial, report: IngestReport, expected: xr.Dataset, after: xr.Dataset, said: str
) -> Outcome:
    if ahead := looks_ahead(after):
        return Outcome("looks_ahead", f"{said}: {ahead}")
    equal = is_equal(after, expected)
    if trial.kind == "label" and equal and not report.messages:
        return Outcome("wrong_unit", f"{said}: what the payload says of its unit was passed over")
    # a label that is believed changes the numbers by what it says
    if trial.kind != "label" and (wrong := in_other_unit(expected, after)):
        return Outcome("wrong_unit", f"{said}: {wrong}")
    if report.messages:
        return Outcome("quarantined", said)
    return Outcome("unchanged" if equal else "changed_plausible", said)


def _change(trial: Trial, archive: Path) -> str:
    """Damage the payloads of the trial; return what was done, for people."""
    if trial.kind == "confused":
        shutil.rmtree(archive)
        ALL[trial.provider].confused[trial.what](archive)
        return f"{trial.provider}: {trial.what}"
    if trial.kind == "label":
        label = list(labels_of(archive))[int(trial.what)]
        label.change()
        return f"{trial.provider}: {label.path.relative_to(archive)}: {label.name}"
    rng = np.random.default_rng(trial.seed)
    for path in rng.permutation(np.array(payloads_of(archive), dtype=object)):
        content = _damage(trial.what)(path.read_bytes(), rng)
        if content is not None:
            path.write_bytes(content)
            return f"{trial.provider}: {path.relative_to(archive)}: {trial.what}"
    raise ValueError(f"{trial}: applies to no payload")


def _damage(name: str) -> Damage:
    return next(group[name] for group in (ANY, TEXT, PACKED) if name in group)


def _ingest(home: Path, config: SourceConfig, archive: Path) -> IngestReport:
    workspace = Workspace(home=home, conf=home, tracking_uri="")
    report: IngestReport = ingest_source.fn(workspace, _region(config), config.group, str(archive), "")
    return report


def _region(config: SourceConfig) -> Region:
    day = date(2019, 1, 1)
    return Region(
        name="toy", title="Toy", bounds=Bounds(south=35, north=36, west=-118, east=-117), resolution_deg=0.1,
        start=day, end=date(2020, 1, 1), catalog_start=date(2010, 1, 1), etas_start=date(2011, 1, 1),
        magnitude_completeness=2.0, split=Split(**dict.fromkeys(Split.model_fields, day)), sources=[config],
    )  # fmt: skip


def main() -> None:
    """Answer trials until there are no more."""
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    with tempfile.TemporaryDirectory(prefix="quakecube-sound-") as kept:
        prepared: Prepared | None = None
        for line in sys.stdin:
            trial = Trial(*json.loads(line))
            if prepared is None or prepared.provider != trial.provider:
                prepared = prepare(trial.provider, Path(kept))
            with tempfile.TemporaryDirectory(prefix="quakecube-payload-") as folder:
                outcome = run(trial, prepared, Path(folder) / "a" / "b" / "c")
            sys.stdout.write(f"OUTCOME {json.dumps(outcome)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

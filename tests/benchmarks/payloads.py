"""Damaged payloads of every reader through the real ingest, each in a time limit, in a process that may die.

Bytes, lines, columns and archives are damaged; numbers come in units that nobody states, and units are stated that
are not those of the numbers. Half of the trials meet a store that holds the undamaged payloads. Targets: `crashes`,
`hangs`, `harmed`, `wrong_unit` and `looks_ahead` 0, in 300 trials or more.
"""

import importlib
import sys
from pathlib import Path
from typing import Final, get_args

from flows.benchmarks import Measured
from flows.settings import Settings
from tasks.regions import Provider

SEED: Final = 11
PER_READER: Final = 18
LIMIT_S: Final = 60.0
BAD: Final = ("crashes", "hangs", "harmed", "wrong_unit", "looks_ahead")
_ROOT: Final = Path(__file__).resolve().parents[2]


def measure(settings: Settings) -> Measured:
    """Try every reader and count what came of it; what must not be is told on standard error."""
    sys.path.insert(0, str(_ROOT))  # the specimens live beside the readers' tests
    trial = importlib.import_module("tests.sources.specimens.trial")
    supervise = importlib.import_module("tests.sources.specimens.supervise").supervise
    providers = get_args(Provider)
    trials = [one for name in providers for one in trial.trials_of(name, PER_READER, SEED)]
    counts = dict.fromkeys((*trial.OUTCOMES, "hangs"), 0)
    per_reader: dict[str, list[int]] = {name: [0, 0] for name in providers}
    for one, kind, said in supervise(trials, LIMIT_S):
        counts[kind] += 1
        per_reader[str(one[0])][0] += 1
        if kind in BAD:
            per_reader[str(one[0])][1] += 1
            sys.stderr.write(f"{kind}: {said}\n")
    figures = {"trials": float(len(trials)), **{kind: float(n) for kind, n in counts.items()}}
    figures |= {f"trials.{name}": float(n) for name, (n, _) in per_reader.items()}
    return Measured(figures, n=len(trials), seed=SEED, tables={"payloads": _table(counts, len(trials))})


def _table(counts: dict[str, int], trials: int) -> str:
    """Return the README's table."""
    heads = ["damaged payloads", *(name.replace("_", " ") for name in counts)]
    cells = [str(trials), *(str(n) for n in counts.values())]
    rows = ["| " + " | ".join(heads) + " |", "|" + "---:|" * len(heads), "| " + " | ".join(cells) + " |"]
    return "\n".join(rows)

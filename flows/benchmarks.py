"""Benchmarks by name: a file in tests/benchmarks gives figures, this writes them down with where they came from."""

import importlib.util
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, Protocol

from flows.settings import Settings
from tasks.reports.summary import bound_markdown, score_markdown
from tasks.workspace import write_json

_ROOT = Path(__file__).resolve().parents[1]
_FOLDER = _ROOT / "tests" / "benchmarks"


class Measured(NamedTuple):
    """What a benchmark returns: named figures, the number of repetitions or items, the seed."""

    figures: dict[str, float]
    n: int
    seed: int
    tables: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple default, never mutated
    """Markdown for the README, made by the same run: block name -> text."""
    pictures: dict[str, bytes] = {}  # noqa: RUF012 - likewise
    """PNG for the README, made by the same run: name -> bytes."""


class Benchmark(Protocol):
    """A benchmark module."""

    def measure(self, settings: Settings) -> Measured:
        """Run the benchmark."""
        ...


def benchmark_names() -> list[str]:
    """Return the names that `quakecube bench` knows."""
    return sorted(p.stem for p in _FOLDER.glob("*.py") if not p.stem.startswith(("_", "test_", "conftest")))


def _load(name: str) -> Benchmark:
    spec = importlib.util.spec_from_file_location(f"quakecube_benchmark_{name}", _FOLDER / f"{name}.py")
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"no benchmark {name!r} in {_FOLDER}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def measure_pipeline(region: str, settings: Settings, *, seed: int, target_s: float) -> Measured:
    """Run `quakecube run REGION` in an empty state folder and return its times, memory and scores.

    Raises
    ------
    RuntimeError
        If the run fails; the message ends with what it printed.
    """
    with tempfile.TemporaryDirectory(prefix="quakecube-bench-") as home:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
        environment["QUAKECUBE_HOME"] = home
        command = [sys.executable, "-m", "flows.cli", "run", region, "--seed", str(seed)]
        done = subprocess.run(
            command, env=environment, cwd=_ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed: {done.stdout[-1500:]}{done.stderr[-1500:]}")
        report = Path(home) / "reports" / "latest"
        summary = json.loads((report / "summary.json").read_text())
        pictures = {name: (report / f"{name}.png").read_bytes() for name in ("forecast_map", "ablation")}
    figures: dict[str, float | None] = {
        "runtime_s": summary["runtime_s"],
        "target_s": target_s,
        "peak_memory_gib": summary["peak_memory_gib"],
    }
    figures |= {f"share_observed.{name}": share for name, share in summary["modalities"].items()}
    for model, per_horizon in summary["scores"].items():
        for horizon, row in per_horizon.items():
            figures |= {
                f"{key}.{model}.{horizon}d": row[key] for key in ("igpe_vs_etas", "low", "high", "n_events")
            }
    for bound in ("oracle", "clairvoyant"):
        figures |= {f"{bound}.{h}d": gain for h, gain in summary.get(bound, {}).items()}
    first = next(iter(summary["scores"].values()))
    events = int(next(iter(first.values()))["n_events"])
    table = score_markdown(summary["scores"])
    if "oracle" in summary:
        table += "\n" + bound_markdown(summary)
    run = (
        f"{summary['runtime_s']:.0f} s and {summary['peak_memory_gib']:.1f} GiB; "
        f"{len(summary['scores'])} models on the same {events} test events; seed {seed}."
    )
    known = {key: value for key, value in figures.items() if value is not None}
    return Measured(known, events, seed, {"scores": table, "run": run}, pictures)


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "HEAD") or "unknown") + ("+changes" if git("status", "--porcelain") else "")


def run_benchmark(name: str, settings: Settings) -> Path:
    """Run `name` and write its figures; return the file."""
    started = time.monotonic()
    measured = _load(name).measure(settings)
    folder = settings.home.resolve() / "benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    for table, text in measured.tables.items():
        (folder / f"{name}.{table}.md").write_text(text + "\n")
    for figure, data in measured.pictures.items():
        (folder / f"{name}.{figure}.png").write_bytes(data)
    return write_json(
        folder / f"{name}.json",
        {
            "name": name,
            "figures": measured.figures,
            "n": measured.n,
            "seed": measured.seed,
            "commit": _commit(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
            "seconds": round(time.monotonic() - started, 2),
        },
    )


def refresh_readme(settings: Settings, readme: Path = _ROOT / "README.md") -> list[str]:
    """Replace each block `<!-- bench:NAME:TABLE -->` ... `<!-- end -->` of the README by what the benchmark wrote.

    Its pictures go to infra/figures/NAME_*.png.

    Returns one line per block; a block whose benchmark has not been run here is left as it is.
    """
    text, said = readme.read_text(), []
    pattern = re.compile(r"(<!-- bench:(\w+):(\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

    def block(match: re.Match[str]) -> str:
        name, table = match[2], match[3]
        path = settings.home.resolve() / "benchmarks" / f"{name}.json"
        if not path.is_file():
            said.append(f"{name}:{table} kept: {path} is missing, run `quakecube bench {name}`")
            return match[0]
        record = json.loads(path.read_text())
        for picture in path.parent.glob(f"{name}.*.png"):
            target = readme.parent / "infra" / "figures" / picture.name.replace(".", "_", 1)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(picture.read_bytes())
        stamp = f"<sub>`quakecube bench {name}`, commit {record['commit'][:10]}, {record['machine']}</sub>"
        said.append(f"{name}:{table} written from {path}")
        return f"{match[1]}{path.with_suffix(f'.{table}.md').read_text()}\n{stamp}\n{match[4]}"

    readme.write_text(pattern.sub(block, text))
    return said

"""The command `quakecube`: run the pipeline, start and stop the servers, run a benchmark, refresh the README."""

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.failures import is_expected, one_line
from flows.settings import Settings, prepare_environment, settings
from tasks.cubes.storage import StoreUnreachable, StoreUnsafe
from tasks.regions import UnknownRegion, load_region

if TYPE_CHECKING:
    from flows.forms import PipelineForm

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)


def _fail(message: object) -> typer.Exit:
    """Print one line to standard error and return the exit that says "bad input"."""
    text = one_line(message) if isinstance(message, Exception) else message
    print(f"quakecube: {text}", file=sys.stderr)
    return typer.Exit(2)


def _prepared() -> Settings:
    current = settings()
    prepare_environment(current)
    return current


def _run_pipeline(form: "PipelineForm") -> Path:
    """Run the pipeline; what a user can cause ends it with one line, whatever else with its traceback."""
    from flows.pipeline import pipeline

    try:
        return Path(pipeline(form))
    except ValueError as error:
        # raised by a check of ours or of a library: the run's log above has the traceback
        raise _fail(error) from error
    except Exception as error:
        if is_expected(error):
            raise _fail(error) from error
        raise


@app.command()
def run(
    region: Annotated[str, typer.Argument(help="A file in conf/regions.")] = "simulated",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the simulated world and of training.")] = 1,
    training: Annotated[str, typer.Option(help="Recipe in conf/training: demo or full.")] = "demo",
    epochs: Annotated[int, typer.Option(min=0, help="Epochs; 0 takes the recipe's.")] = 0,
) -> None:
    """Run everything once for a region: ingest, cube, training, backtest, registry, forecast, report."""
    started = time.monotonic()
    current = _prepared()
    try:
        found = load_region(region, current.conf_dir)
    except (UnknownRegion, ValueError) as error:
        raise _fail(error) from error
    live = any(source.service is not None for source in found.sources)
    if found.simulation is None and current.archive is None and not live:
        raise _fail(
            f"region {region!r} names no live service and no recorded archive is given: "
            f"make run REGION={region} ARCHIVE=<folder>, or set QUAKECUBE_ARCHIVE"
        )
    from flows.forms import PipelineForm
    from flows.memory import PeakMemory
    from tasks.reports.summary import score_table
    from tasks.workspace import write_json

    try:
        form = PipelineForm(region=region, seed=seed, training=training, epochs=epochs)
    except ValueError as error:
        raise _fail(error) from error
    with PeakMemory() as memory:
        summary_path = _run_pipeline(form)
    summary = json.loads(summary_path.read_text())
    summary["runtime_s"] = round(time.monotonic() - started, 1)
    summary["peak_memory_gib"] = round(memory.peak_bytes / 2**30, 2)
    write_json(summary_path, summary)

    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(
        score_table(
            summary["scores"], f"{found.title}: gain per event over ETAS, nats, 95 % block-bootstrap interval"
        )
    )
    for key in ("oracle", "clairvoyant"):
        if key in summary:
            gains = ", ".join(f"{h} d {g:+.3f}" for h, g in summary[key].items())
            console.print(f"{key} over ETAS: {gains} nats per event")
    console.print(f"{summary['runtime_s']:.0f} s, {summary['peak_memory_gib']:.1f} GiB at most")
    for label, path in summary["paths"].items():
        console.print(f"{label:12s} {path}", soft_wrap=True)
    console.print("`make up` opens the Prefect UI and the MLflow UI; `make down` closes them.")


@app.command()
def up() -> None:
    """Start the Prefect server with worker and deployments, and MLflow, on 127.0.0.1."""
    current = _prepared()
    from flows.servers import ServerError
    from flows.servers import up as start

    try:
        state = start(current)
    except (ServerError, StoreUnsafe, StoreUnreachable, ValueError) as error:
        raise _fail(error) from error
    print(f"Prefect  {state['prefect']}/deployments")
    print(f"MLflow   {state['mlflow']}/#/experiments")
    print("Stop both with `make down`.")


@app.command()
def down() -> None:
    """Stop what `up` started."""
    from flows.servers import down as stop

    print(f"stopped: {', '.join(stop(settings())) or 'nothing was running'}")


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="A file in tests/benchmarks, without .py; `list` names them.")],
) -> None:
    """Run a benchmark and write $QUAKECUBE_HOME/benchmarks/NAME.json."""
    current = _prepared()
    from flows.benchmarks import benchmark_names, run_benchmark

    if name == "list":
        print("\n".join(benchmark_names()))
        return
    if name not in benchmark_names():
        raise _fail(f"unknown benchmark {name!r}: expected one of {benchmark_names()}")
    path = run_benchmark(name, current)
    print(path.read_text(), end="")


@app.command()
def readme() -> None:
    """Rewrite the README's tables from the files in $QUAKECUBE_HOME/benchmarks."""
    from flows.benchmarks import refresh_readme

    for line in refresh_readme(settings()):
        print(line)


if __name__ == "__main__":
    app()

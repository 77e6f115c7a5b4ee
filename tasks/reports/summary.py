"""The summary of a run as a terminal table and as Markdown."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

Row = Mapping[str, Any]
Scores = Mapping[str, Mapping[str, Row]]


def point_latest(folder: Path) -> Path:
    """Let `latest` beside `folder` point to it; return the link."""
    latest = folder.parent / "latest"
    temporary = folder.parent / f".latest-{os.getpid()}"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(folder.name, target_is_directory=True)
    temporary.replace(latest)
    return latest


def cell(figures: Row) -> str:
    """Return `gain [low, high]` as text, nats per event; what could not be computed is a dash."""
    gain, low, high = (
        "-" if figures[key] is None else f"{figures[key]:+.3f}" for key in ("igpe_vs_etas", "low", "high")
    )
    return f"{gain} [{low}, {high}]"


def _horizons(scores: Scores) -> list[str]:
    return sorted(next(iter(scores.values())), key=int)


def score_table(scores: Scores, title: str) -> Table:
    """Return the scorecard as a rich table: one row a model, one column a horizon."""
    horizons = _horizons(scores)
    table = Table(title=title, title_justify="left")
    table.add_column("model")
    for horizon in horizons:
        n = int(next(iter(scores.values()))[horizon]["n_events"])
        table.add_column(f"{horizon} d (n={n})", justify="right")
    for name, per_horizon in scores.items():
        table.add_row(name, *[cell(per_horizon[h]) for h in horizons])
    return table


def score_rows(scores: Scores) -> list[dict[str, str]]:
    """Return the scorecard as rows of text, for a table artifact."""
    return [
        {"model": name} | {f"{h} d": cell(per_horizon[h]) for h in _horizons(scores)}
        for name, per_horizon in scores.items()
    ]


def score_markdown(scores: Scores) -> str:
    """Return the scorecard as a Markdown table."""
    rows = score_rows(scores)
    head = list(rows[0])
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row[h] for h in head) + " |" for row in rows]
    return "\n".join(lines)


def bound_markdown(summary: Mapping[str, Mapping[str, Row]]) -> str:
    """Return the rows of oracle and clairvoyant, which belong under `score_markdown`'s table."""
    lines = []
    for bound in ("oracle", "clairvoyant"):
        rows = summary[f"{bound}_scores"]
        lines.append(f"| *{bound}* | " + " | ".join(cell(rows[h]) for h in sorted(rows, key=int)) + " |")
    return "\n".join(lines)


def page(title: str, lead: str, scores: Scores, figures: Sequence[Path], notes: Sequence[str]) -> str:
    """Return the run's page as Markdown, with figures as relative links."""
    parts = [
        f"# {title}",
        lead,
        "Gain per event over ETAS, nats, 95 % block-bootstrap interval.",
        score_markdown(scores),
    ]
    parts += [f"![{f.stem}]({f.name})" for f in figures]
    parts += [f"- {note}" for note in notes]
    return "\n\n".join(parts) + "\n"

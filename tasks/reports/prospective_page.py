"""The page of issued forecasts: what each said, what came, and how the models stand so far."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tasks.reports.html import document, image, table
from tasks.reports.scorecard_words import p_words, signed, span

Row = Mapping[str, Any]
SHOWN: Final = 30


def prospective_page(record: Row, figure: Path | None, folder: Path) -> Path:
    """Write `folder`/index.html from what prospective.json holds; return it.

    Parameters
    ----------
    record : mapping
        `prospective.json` as read back.
    figure : Path or None
        Beside the page; None where nothing has been scored.
    """
    title = f"Issued forecasts: {record['title']}"
    parts = [f"<h1>{html.escape(title)}</h1>", f"<p>{html.escape(lead(record))}</p>"]
    if figure is not None:
        parts += ["<h2>How do the models stand so far?</h2>", image(figure, "gain through time")]
        parts += [table(standing_rows(record)), f"<p class=small>{html.escape(_left_out(record))}</p>"]
    parts += ["<h2>What was said, and what came?</h2>", table(window_rows(record["windows"]))]
    for heading, lines in (("Still waiting", record["waiting"]), ("Refused", record["refused"])):
        if lines:
            items = "".join(f"<li>{html.escape(line)}</li>" for line in lines[:SHOWN])
            parts.append(f"<h2>{heading}: {len(lines)}</h2><ul>{items}</ul>")
    path = folder / "index.html"
    path.write_text(document(title, "\n".join(parts)))
    return path


def lead(record: Row) -> str:
    """Return what was scored, by what rule, and how much of it was prospective, in words."""
    windows = record["windows"]
    true = sum(row["is_prospective"] for row in windows)
    said = (
        f"{len(windows)} windows scored, {len(record['waiting'])} waiting, {len(record['refused'])} forecasts refused. "
        f"Each window is scored once, with the catalog as known {record['score_delay_days']} days after its end. "
    )
    if windows:
        said += (
            f"{true} of the {len(windows)} were stored within a day of their issue time; "
            "the others replay the past: read them as a backtest. "
            if true < len(windows)
            else "All were stored within a day of their issue time. "
        )
    return (
        said
        + "These are probabilities scored against traditional methods, not predictions of single earthquakes."
    )


def standing_rows(record: Row) -> list[dict[str, str]]:
    """Return the scorecard of the log as rows of text: windows that do not overlap, all models on the same events."""
    return [
        {
            "model": name,
            "days": horizon,
            "windows": str(row["n_windows"]),
            "events": str(row["n_events"]),
            "expected": f"{row['n_forecast']:.1f}",
            "gain over ETAS, nats per event": signed(row["igpe_vs_etas"]),
            "95 %": span(row["low"], row["high"]),
            "Brier skill over the long-term rate": signed(row["brier_skill"]),
        }
        for name, by in record["scores"].items()
        for horizon, row in sorted(by.items(), key=lambda item: int(item[0]))
    ]


def window_rows(windows: Sequence[Row]) -> list[dict[str, str]]:
    """Return the latest scored windows as rows of text, newest first, each with the model that issued it."""
    shown = sorted(windows, key=lambda row: (row["issue_time"], -row["horizon_days"]), reverse=True)[:SHOWN]
    rows = []
    for row in shown:
        issued, reference = row["models"][row["issued_by"]], row["models"][row["reference"]]
        rows.append(
            {
                "issued": row["issue_time"].replace("T", " "),
                "days": str(row["horizon_days"]),
                "by": row["issued_by"],
                "expected": f"{issued['expected']:.2f}",
                f"expected by {row['reference']}": f"{reference['expected']:.2f}",
                "observed": str(row["n_events"]),
                "number test": p_words(issued["n_test"]),
                "gain, nats": signed(issued["gain"]),
                "prospective": "yes" if row["is_prospective"] else "replay",
            }
        )
    return rows


def _left_out(record: Row) -> str:
    names = [f"{name} ({why})" for name, why in record["left_out"].items()]
    note = "Windows of one horizon that do not overlap; the first forecast stored for a moment counts."
    return note + (f" Not scored: {', '.join(names)}." if names else "")

"""The page of an aftershock forecast, and that of a replay; HTML that a browser shows without a server."""

import html
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path

import xarray as xr

from tasks.reports.advisory import WINDOW_NAMES, in_words, number_range
from tasks.reports.aftershock_figures import NAMES
from tasks.reports.html import document, image, table


def number_rows(forecast: xr.Dataset) -> list[dict[str, str]]:
    """Return a forecast of one model (window, magnitude) as rows of text, a row per magnitude."""
    rows = []
    for magnitude in forecast["magnitude"].values:
        row = {"magnitude": f"{magnitude:g} or larger"}
        for window in forecast["window"].values:
            cell = forecast.sel(window=window, magnitude=magnitude)
            row[f"next {WINDOW_NAMES[float(window)]}"] = (
                f"{in_words(float(cell['probability']))}; {number_range(int(cell['low']), int(cell['high']))}"
            )
        rows.append(row)
    return rows


def paragraphs(said: Sequence[str]) -> str:
    """Return lines as HTML: those that start with a dash as a list."""
    parts = []
    for is_list, lines in itertools.groupby(said, lambda line: line.startswith("- ")):
        tag = "li" if is_list else "p"
        items = "".join(f"<{tag}>{html.escape(line.removeprefix('- '))}</{tag}>" for line in lines)
        parts.append(f"<ul>{items}</ul>" if is_list else items)
    return "".join(parts)


def aftershock_page(
    title: str,
    lead: str,
    said: Sequence[str],
    forecast: xr.Dataset,
    issuer: str,
    figures: Mapping[str, Path],
    facts: Sequence[str],
) -> str:
    """Return the page of one forecast: advisory, numbers, map, sequence, other models, and what it was made from."""
    others = [str(n) for n in forecast["model"].values if n != issuer]
    body = [
        f"<h1>{html.escape(title)}</h1><p class=small>{html.escape(lead)}</p>",
        paragraphs(said),
        "<h2>How likely, and how many</h2><p>Probability of at least one; 95 % range of the number.</p>",
        table(number_rows(forecast.sel(model=issuer))),
        image(figures["map"], "expected events per cell in the next week"),
        image(figures["sequence"], "events so far and expected"),
        image(figures["numbers"], "numbers by window, magnitude and model"),
    ]
    for name in others:
        body += [f"<h2>{html.escape(NAMES[name])}</h2>", table(number_rows(forecast.sel(model=name)))]
    body += ["<h2>What it was made from</h2>", paragraphs([f"- {fact}" for fact in facts])]
    return document(title, "\n".join(body))


def replay_page(
    title: str,
    lead: str,
    summary: Sequence[Mapping[str, str]],
    rows: Mapping[str, Sequence[Mapping[str, str]]],
    figure: Path,
    pages: Mapping[str, str],
) -> str:
    """Return the page of a replay: every forecast against what came, the models beside each other."""
    links = ", ".join(
        f'<a href="{html.escape(link)}">{html.escape(name)}</a>' for name, link in pages.items()
    )
    body = [
        f"<h1>{html.escape(title)}</h1><p class=small>{html.escape(lead)}</p>",
        f"<p>The pages as issued, after the event: {links}.</p>",
        "<h2>Did the ranges hold?</h2>",
        "<p>Numbers of all windows and magnitudes that are over. CRPS of ln(1 + number) and surprise (nats): smaller "
        "is better. Numbers of nested windows and magnitudes depend on each other: the shares say little of their own "
        "uncertainty.</p>",
        table(list(summary)),
        image(figure, "forecast ranges and what came"),
    ]
    for name, part in rows.items():
        body += [
            f"<details><summary>{html.escape(NAMES[name])}: all {len(part)} numbers</summary>",
            table(list(part)),
            "</details>",
        ]
    return document(title, "\n".join(body))

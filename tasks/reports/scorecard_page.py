"""The page of a backtest: one question, one figure, one sentence; every number is read from scorecard.json."""

import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tasks.reports.court_figures import (
    consistency,
    gain_split,
    magnitude_figure,
    molchan_diagram,
    residual_figure,
    shuffle_figure,
)
from tasks.reports.html import document, image, table
from tasks.reports.scorecard_words import (
    brier,
    consistency_words,
    control_words,
    magnitude_words,
    molchan_words,
    residual_words,
    sequence_words,
    signed,
    span,
    split_words,
)

Row = Mapping[str, Any]
_MAIN: Final = 7


def write_scorecard_page(card: Row, folder: Path) -> Path:
    """Draw the court's figures into `folder`/figures and write `folder`/index.html; return it.

    Parameters
    ----------
    card : mapping
        `scorecard.json` as read back: what the page shows is what the artefact holds.
    folder : Path
        Where the backtest's other figures lie already, in `figures/`.
    """
    horizon = str(_MAIN) if str(_MAIN) in card["scores"][card["rules"]["reference"]] else _shortest(card)
    page, scores, figures = card["page"], card["scores"], folder / "figures"
    rows = {name: by[horizon] for name, by in card["court"]["rows"].items()}
    main = {name: scores[name][horizon] for name in rows}
    reference, long_term = card["rules"]["reference"], card["rules"]["long_term"]
    n = int(main[reference]["n_events"])
    what = f"{page['title']}, {horizon}-day windows, n = {n}"
    drawn = {
        "split": gain_split(
            {k: v for k, v in main.items() if k != reference}, what, figures / "gain_split.png"
        ),
        "consistency": consistency(
            _tests(main, rows), card["court"]["significance"], what, figures / "consistency.png"
        ),
    }
    if n:
        drawn["molchan"] = molchan_diagram(rows, reference, what, figures / "molchan.png")
        drawn["shuffle"] = shuffle_figure(rows, long_term, what, figures / "shuffle.png")
        drawn["magnitudes"] = magnitude_figure(card["magnitudes"], page["title"], figures / "magnitudes.png")
    lead = (
        f"Test period {page['test_start']} to {page['test_end']}, M >= {page['magnitude']:g}; cube {page['cube']}, "
        f"code {page['code']}, seed {page['seed']}. Every number is read from scorecard.json beside this page. "
        "These are probabilities scored against traditional methods, not predictions of single earthquakes."
    )
    parts = [f"<h1>Scorecard: {html.escape(page['title'])}</h1><p class=small>{html.escape(lead)}</p>"]
    parts += _gain(card, horizon, figures)
    parts += _question("When, or where, was the gain earned?", split_words(main), drawn["split"])
    parts += _question(
        "Was it earned all the time, or in one sequence?",
        sequence_words(main[reference], card["rules"]["min_sequences"]),
        figures / "gain_through_time.png",
    )
    parts += _question(
        "Could the observed earthquakes have come from the forecast?",
        consistency_words(card, rows),
        drawn["consistency"],
    )
    if "magnitudes" in drawn:
        parts += _question("Are the magnitudes right?", magnitude_words(card), drawn["magnitudes"])
    drawn["residuals"] = residual_figure(card["residuals"], page["title"], figures / "residuals.png")
    parts += _question(
        "Do events come when ETAS expects them?", residual_words(card["residuals"]), drawn["residuals"]
    )
    parts += _question(
        "When the forecast says 1 %, does it happen in 1 % of cases?",
        f"Bars are 95 % Wilson intervals, cells and windows taken as independent. Brier score of the probability of an "
        f"event: {brier(main)} (long-term rate {main[reference]['brier_long_term']:.3g}; lower is better).",
        figures / f"reliability_{horizon}d.png",
    )
    if "molchan" in drawn:
        parts += _question(
            f"Do alarms where a model expects more than {reference} catch more than their share?",
            molchan_words(rows, reference),
            drawn["molchan"],
        )
        parts += _question(
            "Could the gain be an accident or a leak?", control_words(card, rows), drawn["shuffle"]
        )
    path = folder / "index.html"
    path.write_text(document(f"Scorecard: {page['title']}", "\n".join(parts)))
    return path


def _shortest(card: Row) -> str:
    return str(min(card["scores"][card["rules"]["reference"]], key=int))


def _question(title: str, answer: str, figure: Path) -> list[str]:
    return [f"<h2>{html.escape(title)}</h2><p>{html.escape(answer)}</p>", image(figure, title)]


def _gain(card: Row, horizon: str, figures: Path) -> list[str]:
    reference, rules = card["rules"]["reference"], card["rules"]
    margin = rules["equivalence_margin"]
    better = []
    for name, by in card["scores"].items():
        if name != reference and by[horizon]["p_holm"] is not None and by[horizon]["p_holm"] < 0.05:
            better.append(f"{name} ({signed(by[horizon]['igpe_vs_etas'])})")
    said = (
        f"At {horizon} days these differ from ETAS after adjustment for all comparisons: {', '.join(better)}."
        if better
        else f"At {horizon} days no model differs from ETAS after adjustment for all comparisons."
    )
    rows = [
        {
            "model": name,
            "days": h,
            "events": str(row["n_events"]),
            "gain over ETAS, nats per event": signed(row["igpe_vs_etas"]),
            "95 %, blocks of windows": span(row["low"], row["high"]),
            "95 %, sequences": span(row["low_sequences"], row["high_sequences"]),
            "p (Holm)": signed(row["p_holm"], ".3f"),
            f"p that it exceeds ±{margin:g}": signed(
                None if name == reference else row["equivalence"]["p_value"], ".3f"
            ),
            "share of ETAS's edge": signed(row["share_of_edge"], ".0%"),
        }
        for name, by in card["scores"].items()
        for h, row in sorted(by.items(), key=lambda item: int(item[0]))
        if name in card["court"]["rows"]
    ]
    closing = (
        "A small number in the column p (Holm) says that a model differs from ETAS; a small one in the column after "
        f"it says that it is practically equal (within {margin:g} nats per event). Neither small: the data cannot tell."
    )
    return [
        *_question(
            "Does any model forecast better than ETAS?",
            f"{said} {card['promotion']['reason']}.",
            figures / "ablation.png",
        ),
        table(rows),
        f"<p class=small>{html.escape(closing)}</p>",
    ]


def _tests(main: Mapping[str, Row], rows: Mapping[str, Row]) -> dict[str, dict[str, Row]]:
    """Return the tests as the figure reads them; the number test is the scorecard's, with the model's own law."""

    def law_of_its_own(row: Row) -> float:
        return min(1.0, 2.0 * float(min(row["n_test"]["delta1"], row["n_test"]["delta2"])))

    tests: dict[str, dict[str, Row]] = {
        "N (how many)": {
            name: {"p_value": law_of_its_own(main[name]), "power": rows[name]["power"].get("N")}
            for name in rows
        }
    }
    for key, title in (("S", "S (where)"), ("CL", "CL (where and when)"), ("L", "L (all)")):
        tests[title] = {
            name: {
                "p_value": rows[name]["tests"].get(key, {}).get("p_value"),
                "power": rows[name]["power"].get(key),
            }
            for name in rows
        }
    return tests

"""What the page of a backtest says in words: one answer a question, each number from the scorecard."""

from collections.abc import Mapping
from typing import Any

Row = Mapping[str, Any]


def signed(value: float | None, form: str = "+.3f") -> str:
    """Return a number with its sign, a dash where there is none."""
    return "-" if value is None else format(value, form)


def p_words(value: float | None, smallest: float = 0.001) -> str:
    """Return a p-value in words, never as 0."""
    if value is None:
        return "p unknown"
    return f"p < {smallest:g}" if value < smallest else f"p = {value:.3f}"


def span(low: float | None, high: float | None) -> str:
    """Return an interval as text."""
    return f"[{signed(low)}, {signed(high)}]"


def split_words(main: Mapping[str, Row]) -> str:
    """Say how much of each model's gain comes from when and from where events fall."""
    parts = [
        f"{name}: {signed(row['igpe_time'])} when, {signed(row['igpe_space'])} where"
        for name, row in main.items()
        if row["igpe_vs_etas"]
    ]
    said = "; ".join(parts) or "No model's forecast differs from ETAS"
    return f"{said}. Nats per event; all models share one magnitude law, so nothing comes from how large events are."


def sequence_words(row: Row, fewest: float) -> str:
    """Say how many sequences the events form, of any model's `row`; fewer than `fewest` effective ones are too few."""
    if not row["n_events"]:
        return "No event in the test period."
    if row["effective_sequences"] >= fewest:
        so = "A gain that rises in one step was earned in one sequence; believe the interval by sequences."
    else:
        so = f"Fewer than {fewest:g} give no interval: whether it would come again in another sequence is not known."
    return (
        f"The {row['n_events']} events form {row['n_sequences']} sequences; the largest holds "
        f"{row['largest_sequence']:.0%} of them, as good as {row['effective_sequences']:.1f} of equal size. {so}"
    )


def consistency_words(card: Row, rows: Mapping[str, Row]) -> str:
    """Say which tests reject which model, and how such a rejection is to be read."""
    court = card["court"]
    rejected = [
        f"{name} by {', '.join(found)}"
        for name, row in rows.items()
        if (
            found := [
                k
                for k, t in row["tests"].items()
                if t["p_value"] is not None and t["p_value"] < court["significance"]
            ]
        )
    ]
    return (
        f"{court['simulations']:,} simulated catalogs for every test and model. Rejected at {court['significance']:g}: "
        f"{'; '.join(rejected) or 'none'}. L, CL and S take events as independent given the rates, which "
        "aftershocks inside a window are not, so they reject too often. Passing is not skill: the grey number is how "
        "often a test with as many events would reject the long-term rate if the model were right."
    )


def magnitude_words(card: Row) -> str:
    """Give the result of the M-test."""
    test = card["court"]["magnitude"]
    if test is None:
        return "No event in the test period."
    return (
        f"M-test of the law that all models share (b = {card['magnitudes']['b_value']:.2f}, from the training period): "
        f"{p_words(test['p_value'], 1 / test['simulations'])} from {test['simulations']:,} simulations."
    )


def brier(main: Mapping[str, Row]) -> str:
    """Return the Brier score of each model."""
    return ", ".join(f"{name} {row['brier']:.3g}" for name, row in main.items())


def molchan_words(rows: Mapping[str, Row], reference: str) -> str:
    """Give each model's area skill against the reference, and what it means."""
    parts = [
        f"{name} {row['area_skill']:.3f} ({p_words(row['area_p_value'])})"
        for name, row in rows.items()
        if name != reference and row["area_skill"] is not None
    ]
    return (
        f"Area skill, 0.5 for alarms no better than {reference}: {', '.join(parts)}. An alarm costs the events that "
        f"{reference} expects under it, so there is no credit for warning after a mainshock. Alarms go first where a "
        f"model's rate exceeds that of {reference} most: a model that is worse on the whole may still catch what "
        f"surprised {reference}, such as a mainshock. The p-value counts sequences, not events."
    )


def control_words(card: Row, rows: Mapping[str, Row]) -> str:
    """Say what the leak control and the label shuffle found."""
    leaks = card["leak_control"]
    worst = max(leaks["largest_change"].values())
    changed = f"no forecast changed by more than {worst:.1e} of itself" if worst else "no forecast changed"
    proof = (
        "and a leak put in on purpose was refused"
        if leaks["injected_refused"]
        else "but no leak could be put in: no event follows these days, so the control proves nothing here"
    )
    survivors = [
        name
        for name, row in rows.items()
        if name != card["rules"]["long_term"]
        and row["shuffle"] is not None
        and row["shuffle"]["p_value"] >= 0.05
    ]
    return (
        f"With the future taken away at {', '.join(t[:10] for t in leaks['issue_times'])} {changed}, {proof}. With "
        "windows exchanged the gain over the long-term rate should fall to the grey bar; it is not told from it for "
        f"{', '.join(survivors) or 'no model'}: it knows where and not when, or too few windows hold the events."
    )


def residual_words(periods: Mapping[str, Row]) -> str:
    """Return how the periods went in the time of ETAS."""
    parts = [
        f"{name}: {int(row['n'])} events, {row['expected']:.0f} expected, p = {signed(row['p_value'], '.3f')}"
        for name, row in periods.items()
    ]
    return (
        f"{'; '.join(parts)}. In the time of a model that is right, events come evenly (Kolmogorov-Smirnov, grey: 95 % "
        "about a straight line to the number that came; dotted: as many as expected). Parameters are those of the "
        "training period."
    )

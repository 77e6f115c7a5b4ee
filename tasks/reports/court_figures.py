"""The figures of a scorecard's page: each answers one question, and all are drawn from the artefact alone."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib import pyplot as plt

from tasks.reports.figures import PALETTE, STYLE, save

Row = Mapping[str, Any]
Rows = Mapping[str, Row]

_CYCLE: Final = ("#2b6cb0", "#c2703d", "#3a8a5f", "#8a4f9e", "#b3382c", "#5a7d8c")
FLOOR: Final = 1e-4


def colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour for each model, the baselines' always the same."""
    others = [n for n in names if n not in PALETTE]
    return {n: PALETTE.get(n, _CYCLE[others.index(n) % len(_CYCLE)] if n in others else "") for n in names}


def gain_split(rows: Rows, title: str, path: Path) -> Path:
    """Draw the parts of each model's gain over the reference that come from when and from where events fall, nats."""
    names = list(rows)
    y = np.arange(len(names))[::-1]
    with plt.rc_context(STYLE):
        _, axes = plt.subplots(figsize=(7.2, 0.42 * len(names) + 1.2))
        for offset, key, label, colour in (
            (0.19, "igpe_time", "when (and how many)", "#c2703d"),
            (-0.19, "igpe_space", "where", "#2b6cb0"),
        ):
            values = np.array([rows[n][key] for n in names], dtype=np.float64)
            axes.barh(y + offset, values, height=0.36, color=colour, label=label)
        axes.axvline(0, color="#222", lw=0.8)
        axes.set_yticks(y, names)
        axes.set(xlabel="part of the gain over ETAS, nats per event", title=title)
        axes.legend(frameon=False)
        return save(path)


def consistency(tests: Mapping[str, Rows], significance: float, title: str, path: Path) -> Path:
    """Draw p-values of each model's tests, (test name -> model -> `p_value`, `power`); left of the line is rejected.

    Values below 1e-4 are drawn there, as an arrow: ten thousand simulations tell no smaller ones. The number is the
    power against the long-term model, where it is known.
    """
    names = list(next(iter(tests.values())))
    y = np.arange(len(names))[::-1]
    with plt.rc_context(STYLE):
        figure, all_axes = plt.subplots(
            1, len(tests), figsize=(2.5 * len(tests), 0.38 * len(names) + 1.4), sharey=True, squeeze=False
        )
        for axes, (test, rows) in zip(all_axes[0], tests.items(), strict=True):
            axes.axvspan(FLOOR / 2, significance, color="#b3382c", alpha=0.10, lw=0)
            axes.axvline(significance, color="#b3382c", lw=0.8)
            for height, name in zip(y, names, strict=True):
                p, power = rows[name]["p_value"], rows[name].get("power")
                if p is None:
                    continue
                rejected = p < significance
                axes.plot(
                    max(p, FLOOR),
                    height,
                    marker="<" if p < FLOOR else "o",
                    ms=6,
                    mfc="#b3382c" if rejected else "#2b6cb0",
                    mec="none",
                )
                if power is not None:
                    axes.text(2.3, height, f"{power:.0%}", va="center", fontsize=7.5, color="#555")
            if any(row.get("power") is not None for row in rows.values()):
                axes.text(2.3, y[0] + 0.7, "power", va="center", fontsize=7.5, color="#555")
            axes.set(xscale="log", xlim=(FLOOR / 2, 2.0), xlabel="p-value", title=test)
            axes.set_ylim(-0.6, y[0] + 0.6)
            axes.grid(axis="y", color="#eee", lw=0.8)
            axes.set_axisbelow(True)
        all_axes[0][0].set_yticks(y, names)
        figure.suptitle(title, x=0.02, ha="left", fontsize=10)
        figure.tight_layout()
        return save(path)


def molchan_diagram(rows: Rows, reference: str, title: str, path: Path) -> Path:
    """Draw the share of events missed against the share of the reference's events under alarm, for each model."""
    paint = colours(list(rows))
    with plt.rc_context(STYLE):
        _, axes = plt.subplots(figsize=(4.8, 4.4))
        axes.plot([0, 1], [1, 0], color="#888", lw=0.9, ls=":")
        for name, row in rows.items():
            if name == reference or row["area_skill"] is None:
                continue
            label = f"{name}: area skill {row['area_skill']:.3f}"
            axes.plot(row["occupied"], row["missed"], lw=1.3, label=label, color=paint[name])
        axes.set(
            xlabel=f"share of {reference}'s expected events under alarm",
            ylabel="share of events missed",
            title=title,
            xlim=(0, 1),
            ylim=(0, 1),
            aspect=1,
        )
        axes.legend(frameon=False, fontsize=8)
        return save(path)


def shuffle_figure(rows: Rows, long_term: str, title: str, path: Path) -> Path:
    """Draw each model's gain over the long-term model beside its gains with windows exchanged (95 % of them)."""
    names = [n for n, row in rows.items() if row["shuffle"] is not None and n != long_term]
    y = np.arange(len(names))[::-1]
    paint = colours(names)
    with plt.rc_context(STYLE):
        _, axes = plt.subplots(figsize=(7.2, 0.4 * len(names) + 1.2))
        for height, name in zip(y, names, strict=True):
            control = rows[name]["shuffle"]
            axes.plot(
                [control["low"], control["high"]], [height, height], lw=6, color="#ccc", solid_capstyle="butt"
            )
            axes.plot(control["gain"], height, "o", ms=6, color=paint[name])
        axes.axvline(0, color="#222", lw=0.8)
        axes.set_yticks(y, names)
        axes.set(xlabel=f"gain over {long_term}, nats per event (grey: windows exchanged)", title=title)
        return save(path)


def magnitude_figure(found: Row, title: str, path: Path) -> Path:
    """Draw observed numbers of events at least as large as each magnitude beside those of the models' law."""
    expected = np.cumsum(np.array(found["expected"])[::-1])[::-1]
    observed = np.cumsum(np.array(found["observed"])[::-1])[::-1]
    magnitude = found["smallest"] + found["width"] * np.arange(expected.size)
    with plt.rc_context(STYLE):
        _, axes = plt.subplots(figsize=(5.0, 3.6))
        axes.plot(
            magnitude, expected, color="#222", lw=1.2, label=f"law of the models, b = {found['b_value']:.2f}"
        )
        shown = observed > 0
        axes.plot(magnitude[shown], observed[shown], "o", ms=3.5, color="#2b6cb0", label="observed")
        axes.set(
            yscale="log",
            ylim=(0.3, None),
            xlabel="magnitude",
            ylabel="events at least as large",
            title=title,
        )
        axes.legend(frameon=False)
        return save(path)


def residual_figure(periods: Mapping[str, Row], title: str, path: Path) -> Path:
    """Draw events against the number that ETAS expected until then, (period -> `times`, `expected`, `n`).

    The band is that of Kolmogorov and Smirnov about a straight line to the number that came: 1.36 sqrt(n), 95 %.
    """
    with plt.rc_context(STYLE):
        _, all_axes = plt.subplots(1, len(periods), figsize=(4.2 * len(periods), 3.4), squeeze=False)
        for axes, (name, row) in zip(all_axes[0], periods.items(), strict=True):
            n, times = int(row["n"]), np.asarray(row["times"], np.float64)
            number = np.linspace(1, max(n, 1), times.size)
            ends = np.array([0.0, row["expected"]])
            axes.fill_between(
                ends, ends * n / ends[1] - 1.36 * np.sqrt(n), ends * n / ends[1] + 1.36 * np.sqrt(n),
                color="#999", alpha=0.25, lw=0,
            )  # fmt: skip
            axes.plot(ends, ends, color="#222", lw=0.7, ls=":")
            axes.step(times, number, where="post", color="#b3382c", lw=1.2)
            axes.set(
                xlabel="expected until then", title=f"{name}: {n} events, {row['expected']:.0f} expected"
            )
        all_axes[0][0].set_ylabel("events")
        plt.suptitle(title, x=0.02, ha="left", fontsize=10)
        plt.tight_layout()
        return save(path)

"""The quality page of a region: figures and an HTML text that a browser shows without a server."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from tasks.quality.flags import Reason
from tasks.quality.injection import Caught, Recovery
from tasks.quality.report import SensorQuality, table_rows
from tasks.reports.html import document, image, table

MOST_ROWS: Final = 60
SHOWN_ROWS: Final = 40
_NAMES: Final = {"quality": "quality control", "hampel": "causal Hampel filter"}
_COLOURS: Final = {"quality": "#2b6cb0", "hampel": "#c2703d"}


def availability_figure(
    sensors: Sequence[SensorQuality], borders: NDArray[np.datetime64], title: str, path: Path
) -> Path:
    """Draw the share observed per sensor and 30 days, offenders at the top, at most 60 sensors; white is before."""
    shown = sensors[:MOST_ROWS]
    colours = LinearSegmentedColormap.from_list("observed", ["#b3382c", "#e9c46a", "#2b6cb0"])
    shares = np.ma.masked_invalid(np.array([s.months for s in shown]))
    with plt.rc_context({"figure.dpi": 110, "font.size": 8}):
        figure, axes = plt.subplots(figsize=(9.0, 0.17 * len(shown) + 1.2))
        mesh = axes.pcolormesh(
            borders.astype("datetime64[s]"), np.arange(len(shown) + 1), shares, cmap=colours, vmin=0, vmax=1
        )
        axes.set_yticks(np.arange(len(shown)) + 0.5, [_label(s) for s in shown], fontsize=6.5)
        axes.invert_yaxis()
        axes.set_title(title, loc="left", fontsize=9)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
        axes.tick_params(axis="y", length=0)
        figure.colorbar(mesh, ax=axes, label="share observed", fraction=0.03, pad=0.01)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, bbox_inches="tight")
        plt.close(figure)
    return path


def recovery_figure(recoveries: Sequence[Recovery], caught: Sequence[Caught], title: str, path: Path) -> Path:
    """Draw share of the amplitude recovered, share of the signal's days kept, and share of spikes caught, by size."""
    panels = (
        ("step", "coseismic steps", "amplitude recovered"),
        ("slow slip", "slow slip of 3-120 days", "amplitude recovered"),
    )
    with plt.rc_context(
        {"figure.dpi": 110, "font.size": 8, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure, all_axes = plt.subplots(1, 3, figsize=(10.5, 3.2), sharey=True)
        for axes, (kind, name, label) in zip(all_axes, panels, strict=False):
            for rule, colour in _COLOURS.items():
                rows = [r for r in recoveries if r.kind == kind and r.rule == rule]
                size = np.array([1e3 * r.amplitude_m for r in rows])
                mean = np.array([r.recovered for r in rows])
                error = np.abs(np.array([[r.low for r in rows], [r.high for r in rows]]) - mean)
                axes.errorbar(
                    size, mean, error, marker="o", ms=3, lw=1, color=colour, label=f"{_NAMES[rule]}: {label}"
                )
                axes.plot(size, [r.days_kept for r in rows], "s--", ms=3, lw=1, color=colour, alpha=0.65,
                          label=f"{_NAMES[rule]}: days kept")  # fmt: skip
            axes.set(xscale="log", xlabel="planted amplitude, mm", title=f"{name}, n = {rows[0].n} per size")
            _label_sizes(axes, size)
            axes.axhline(1.0, color="#999", lw=0.6, ls=":")
        for rule, colour in _COLOURS.items():
            spikes = [c for c in caught if c.rule == rule and c.amplitude_m > 0]
            all_axes[2].plot(
                [1e3 * c.amplitude_m for c in spikes],
                [c.share for c in spikes],
                "o-",
                ms=3,
                lw=1,
                color=colour,
            )
        all_axes[2].set(
            xscale="log", xlabel="planted amplitude, mm", title=f"spikes masked, n = {spikes[0].n} per size"
        )
        _label_sizes(all_axes[2], np.array([1e3 * c.amplitude_m for c in spikes]))
        all_axes[0].set(ylabel="share", ylim=(0.0, 1.08))
        all_axes[0].legend(frameon=False, fontsize=6.5, loc="center right", bbox_to_anchor=(1.0, 0.5))
        figure.suptitle(title, x=0.01, ha="left", fontsize=9)
        figure.tight_layout()
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, bbox_inches="tight")
        plt.close(figure)
    return path


def quality_page(
    title: str,
    lead: str,
    sensors: Sequence[SensorQuality],
    steps: Sequence[Mapping[str, str]],
    recoveries: Sequence[Recovery],
    caught: Sequence[Caught],
    figures: Mapping[str, Path],
    left_out: Sequence[str] = (),
) -> str:
    """Return the page as HTML; every text of a provider is escaped, and figures are links beside the page."""
    parts = [
        f"<h1>{html.escape(title)}</h1><p class=small>{html.escape(lead)}</p>",
        "<h2>Offenders</h2><p>Sensors with the most masked values first, then those that miss most. Reasons with a "
        "star are remarks: the value is kept.</p>",
        table(table_rows(sensors[:SHOWN_ROWS])),
    ]
    if len(sensors) > SHOWN_ROWS:
        rest = sensors[SHOWN_ROWS:]
        parts.append(
            f"<details><summary>{len(rest)} more sensors</summary>{table(table_rows(rest))}</details>"
        )
    if left_out:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in left_out)
        parts.append(f"<h2>Not judged</h2><ul>{lines}</ul>")
    if "availability" in figures:
        parts.append(
            f"<h2>Availability</h2>{image(figures['availability'], 'share observed per sensor and month')}"
        )
    if recoveries:
        parts += [
            "<h2>What quality control leaves of an earthquake</h2>",
            "<p>Steps and slow slip of known size are planted into this region's own series, without telling the "
            "control of any earthquake, and measured before and after. A causal Hampel filter (21 days, 3 robust "
            "deviations) stands beside it.</p>",
            image(figures["recovery"], "recovery of planted steps, slow slip and spikes"),
            table([recovery_row(r) for r in recoveries]),
            "<h2>What it catches</h2>",
            table([caught_row(c) for c in caught]),
        ]
    if steps:
        parts += [
            "<h2>Steps</h2><p>All are kept. A step that no earthquake known then explains (within 10^(M/2 - 0.8) km) "
            "may be equipment, or a slow event of less than two weeks.</p>",
            table(steps),
        ]
    parts.append(f"<h2>Reasons</h2><p class=small>{', '.join(r.name.lower() for r in Reason)}</p>")
    return document(title, "\n".join(parts))


def recovery_row(r: Recovery) -> dict[str, str]:
    """Return one line of the recovery table."""
    return {
        "signal": r.kind,
        "rule": _NAMES[r.rule],
        "planted, mm": f"{1e3 * r.amplitude_m:g}",
        "n": str(r.n),
        "recovered (95 % bootstrap)": f"{r.recovered:.4f} [{r.low:.4f}, {r.high:.4f}]",
        "days kept": f"{r.days_kept:.2%}",
    }


def caught_row(c: Caught) -> dict[str, str]:
    """Return one line of the table of spikes; the size 0 is of simulated series without spikes."""
    return {
        "planted": f"spike of {1e3 * c.amplitude_m:g} mm"
        if c.amplitude_m > 0
        else "nothing (simulated noise)",
        "rule": _NAMES[c.rule],
        "n, days": f"{c.n:,}",
        "masked (95 % Wilson)": f"{c.share:.3%} [{c.low:.3%}, {c.high:.3%}]",
    }


def _label_sizes(axes: Axes, sizes_mm: NDArray[np.float64]) -> None:
    axes.set_xticks(sizes_mm, [f"{s:g}" for s in sizes_mm])
    axes.minorticks_off()


def _label(sensor: SensorQuality) -> str:
    return sensor.group if sensor.sensor == "all" else f"{sensor.group} {sensor.sensor}"

"""Which network is chosen, on validation, and whether it is promoted, on test: the rule that was fixed before."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tasks.scoring.config import ScoringConfig


def best_network(
    validation: Mapping[str, Mapping[str, Mapping[str, Any]]], networks: Iterable[str], horizon: int
) -> str:
    """Return the network with the highest gain on the validation period: the test period chooses nothing."""

    def gain(name: str) -> float:
        rows = validation[name]
        row = rows.get(str(horizon)) or next(iter(rows.values()))
        return float(row["igpe_vs_etas"] if row["igpe_vs_etas"] is not None else -np.inf)

    return max(networks, key=gain)


def promotion(row: Mapping[str, Any] | None, name: str, config: ScoringConfig) -> dict[str, object]:
    """Return whether the rule, written down before the run, promotes the network `name`, and why.

    Parameters
    ----------
    row : mapping or None
        Its scores in the test period at the horizon of the rule; None where that horizon does not fit.
    """
    low = None if row is None else row["low"]
    promoted = low is not None and low > config.promotion_min_low
    return {
        "promoted": promoted,
        "reason": (
            f"{name}: lower bound of the {config.promotion_horizon_days}-day gain over ETAS is "
            f"{'unknown' if low is None else f'{low:+.4f}'} nats per event, the rule asks for more than "
            f"{config.promotion_min_low:g}"
        ),
    }

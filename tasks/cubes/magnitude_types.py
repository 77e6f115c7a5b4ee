"""Magnitudes of one type from magnitudes of several, by the region's policy; what was changed says so."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from tasks.regions import MagnitudeConversion


def homogenised(frame: pd.DataFrame, source: str, policy: Sequence[MagnitudeConversion]) -> pd.DataFrame:
    """Return the rows of one source with their magnitudes converted, and `is_converted`.

    The first conversion that names the source and the type holds. Its scatter is added to `magnitude_error` where that
    is known, and `magnitude_type` becomes `to(from)`, so that every changed value can be told and turned back.

    Parameters
    ----------
    frame : DataFrame
        Canonical catalog rows; NaN magnitudes stay NaN and are not converted.
    source : str
        Name of the source in the region file.
    policy : sequence of MagnitudeConversion
    """
    frame = frame.assign(is_converted=False)
    if not policy:
        return frame
    types = frame["magnitude_type"].astype(str).str.lower()
    for rule in policy:
        if rule.sources and source not in rule.sources:
            continue
        chosen = (
            types.isin([t.lower() for t in rule.types]) & frame["magnitude"].notna() & ~frame["is_converted"]
        )
        chosen &= frame["magnitude"].between(rule.smallest, rule.largest)
        frame.loc[chosen, "magnitude"] = rule.slope * frame.loc[chosen, "magnitude"] + rule.intercept
        scatter = np.hypot(rule.slope * frame.loc[chosen, "magnitude_error"], rule.standard_error)
        frame.loc[chosen, "magnitude_error"] = scatter
        changed = [f"{rule.to}({was})" for was in frame.loc[chosen, "magnitude_type"]]
        frame.loc[chosen, "magnitude_type"] = changed
        frame.loc[chosen, "is_converted"] = True
    return frame

"""The four flags, each with its reasons."""

from enum import IntEnum
from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import NDArray

NAT: Final = np.iinfo(np.int64).min
Flags = NDArray[np.uint8]


class Flag(IntEnum):
    """`quality_flag` of the observation schema; only OBSERVED values enter a cube."""

    OBSERVED = 0
    GAP = 1
    SATURATED = 2
    NOT_YET_AVAILABLE = 3
    MASKED = 4


class Reason(IntEnum):
    """`quality_reason`: why a value has its flag. Those in KEPT are remarks: the value stays observed."""

    NONE = 0
    NO_VALUE = 1
    PROVIDER_MASK = 2
    FULL_SCALE = 3
    NOT_PUBLISHED = 4
    AWAITING_VERDICT = 5
    SPIKE = 6
    STEP = 7
    COMMON_MODE = 8
    DEAD = 9
    SWAPPED = 10
    CLOCK = 11
    RESPONSE = 12
    UNWRAPPING = 13
    UNWRAPPING_SUSPECTED = 14
    LOW_COHERENCE = 15
    OUT_OF_RANGE = 16


KEPT: Final = frozenset({Reason.NONE, Reason.STEP, Reason.COMMON_MODE, Reason.UNWRAPPING_SUSPECTED})
_OTHER: Final = {
    Reason.NO_VALUE: Flag.GAP,
    Reason.FULL_SCALE: Flag.SATURATED,
    Reason.NOT_PUBLISHED: Flag.NOT_YET_AVAILABLE,
    Reason.AWAITING_VERDICT: Flag.NOT_YET_AVAILABLE,
}
_FLAG_OF: Final = np.array(
    [Flag.OBSERVED if r in KEPT else _OTHER.get(r, Flag.MASKED) for r in Reason], dtype=np.uint8
)
_REASON_OF: Final = np.array(
    [Reason.NONE, Reason.NO_VALUE, Reason.FULL_SCALE, Reason.NOT_PUBLISHED, Reason.PROVIDER_MASK], dtype=np.uint8
)  # fmt: skip


def flag_of(reason: Flags) -> Flags:
    """Return the flag (...) that belongs to each reason (...)."""
    return np.asarray(_FLAG_OF[reason])


def provider_reason(flag: Flags, values: NDArray[np.floating]) -> Flags:
    """Return the reason (...) that the reader's flag (...) stands for; NaN under flag 0 is a gap.

    Raises
    ------
    ValueError
        If a flag is none of the five.
    """
    if flag.size and int(flag.max()) >= _REASON_OF.size:
        raise ValueError(f"quality_flag: expected 0 to {_REASON_OF.size - 1}, found {int(flag.max())}")
    reason = np.asarray(_REASON_OF[flag])
    return np.where((reason == Reason.NONE) & np.isnan(values), np.uint8(Reason.NO_VALUE), reason)


def stamps(times: xr.DataArray) -> NDArray[np.int64]:
    """Return times (...) as int64 ns since 1970; NaT is the smallest int64."""
    return np.asarray(times.values.astype("datetime64[ns]").astype(np.int64))


def verdicts(
    dims: tuple[str, ...],
    coords: dict[str, xr.DataArray],
    reason: Flags,
    usable: NDArray[np.int64],
    known: NDArray[np.int64],
    judged_by: str,
) -> xr.Dataset:
    """Return the verdict Dataset that stands beside an observation group (dims as its `quality_flag`).

    Returns
    -------
    Dataset
        `quality_flag` and `quality_reason` uint8 (CF `flag_values`, `flag_meanings`); `available_time`, from
        when the value may be used, NaT where it may not; `quality_available_time`, when the reason was known.
        `usable` and `known` may lack the trailing dims (records, pairs): then they hold for the whole row.
    """
    flag = flag_of(reason)
    if usable.ndim == flag.ndim:
        usable = np.where(flag == Flag.OBSERVED, usable, NAT)
    return xr.Dataset(
        {
            "quality_flag": (dims, flag, _meanings(Flag)),
            "quality_reason": (dims, reason.astype(np.uint8), _meanings(Reason)),
            "available_time": (dims[: usable.ndim], usable.astype("datetime64[ns]")),
            "quality_available_time": (dims[: known.ndim], known.astype("datetime64[ns]")),
        },
        coords=coords,
        attrs={"judged_by": judged_by},
    )


def _meanings(kind: type[Flag] | type[Reason]) -> dict[str, object]:
    return {
        "flag_values": [int(member) for member in kind],
        "flag_meanings": " ".join(member.name.lower() for member in kind),
    }

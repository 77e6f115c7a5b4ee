"""The four flags with their reasons, and what of a verdict was known at a moment."""

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


def apply_verdicts(observations: xr.Dataset, verdict: xr.Dataset) -> xr.Dataset:
    """Return `observations` with the flags, reasons and available times of `verdict`.

    Values stay as the provider gave them: a reader takes those with flag 0. `available_time` is never earlier
    than the provider's.
    """
    names = ("quality_flag", "quality_reason", "available_time", "quality_available_time")
    return observations.assign({name: verdict[name] for name in names if name in verdict})


def verdicts_known_at(observations: xr.Dataset, verdict: xr.Dataset, moment: np.datetime64) -> xr.Dataset:
    """Return `verdict` as it stood at `moment`, for judges that keep `available_time` per value.

    A value that had come, but whose verdict had not, is AWAITING_VERDICT if it was held back, and observed without a
    remark if it was not. A value that had not come is NOT_PUBLISHED.
    """
    now = moment.astype("datetime64[ns]").astype(np.int64)
    came, _ = xr.broadcast(observations["available_time"], verdict["quality_flag"])
    came = came.transpose(*verdict["quality_flag"].dims)
    arrived = (stamps(came) <= now) & (stamps(came) != NAT)
    usable = stamps(verdict["available_time"])
    known = (stamps(verdict["quality_available_time"]) <= now) & arrived
    released = (usable != NAT) & (usable <= now)
    reason = np.where(
        known, verdict["quality_reason"].values, np.where(released, Reason.NONE, Reason.AWAITING_VERDICT)
    )
    reason = np.where(arrived, reason, Reason.NOT_PUBLISHED).astype(np.uint8)
    came_at = np.where(released, np.maximum(stamps(came), usable), np.where(arrived, stamps(came), NAT))
    time = np.where(known, stamps(verdict["quality_available_time"]), came_at)
    dims = tuple(str(d) for d in verdict["quality_flag"].dims)
    coords = {str(k): v for k, v in verdict.coords.items()}
    return verdicts(dims, coords, reason, usable, time, str(verdict.attrs["judged_by"]))


def _meanings(kind: type[Flag] | type[Reason]) -> dict[str, object]:
    return {
        "flag_values": [int(member) for member in kind],
        "flag_meanings": " ".join(member.name.lower() for member in kind),
    }

"""What decides a cube's days, so that an update knows whether the stored ones still hold."""

import json
from functools import cache

from tasks.regions import Region
from tasks.workspace import code_digest

# Whatever of it changed: days of two versions must not stand side by side as if one had made them.
_code = cache(lambda: code_digest("tasks/cubes", "tasks/waveforms"))


def recipe(region: Region) -> str:
    """Return as JSON what decides each day of a region's cube: the code, and all but where it ends and its tests."""
    left_out = {"end", "title", "etas_start", "magnitude_max", "aftershock_regime", "simulation", "split"}
    content = region.model_dump(mode="json", exclude=left_out)
    return json.dumps(
        content | {"train_end": region.split.train_end.isoformat(), "code": _code()}, sort_keys=True
    )

"""What decides a cube's days, so that an update knows whether the stored ones still hold."""

import json

from tasks.regions import Region

_VERSION = 1


def recipe(region: Region) -> str:
    """Return as JSON what of a region decides each day of its cube: all but where it ends and how it is tested."""
    left_out = {"end", "title", "etas_start", "magnitude_max", "simulation", "split"}
    content = region.model_dump(mode="json", exclude=left_out)
    return json.dumps(
        content | {"train_end": region.split.train_end.isoformat(), "version": _VERSION}, sort_keys=True
    )

"""Typed access to a source's options, so that a wrong entry in a region file is named and not guessed at."""

from datetime import datetime

import numpy as np

from tasks.regions import SourceConfig


def number_option(config: SourceConfig, key: str, default: float) -> float:
    """Return the option `key` as a number, or `default` where it is not given.

    Raises
    ------
    ValueError
        If the option is not a number.
    """
    value = config.options.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"source {config.group}: option {key!r} must be a number, found {value!r}")
    return float(value)


def text_option(config: SourceConfig, key: str, default: str | None = None) -> str:
    """Return the option `key` as text, or `default` where it is not given.

    Raises
    ------
    ValueError
        If the option is not text, or is missing and has no default.
    """
    value = config.options.get(key, default)
    if not isinstance(value, str):
        raise ValueError(f"source {config.group}: option {key!r} must be text, found {value!r}")
    return value


def choice_option(config: SourceConfig, key: str, choices: tuple[str, ...]) -> str:
    """Return the option `key`, one of `choices`; the first is the default.

    Raises
    ------
    ValueError
        If the option is none of them.
    """
    value = text_option(config, key, choices[0])
    if value not in choices:
        raise ValueError(f"source {config.group}: option {key!r} must be one of {choices}, found {value!r}")
    return value


def time_option(config: SourceConfig, key: str) -> np.datetime64:
    """Return the option `key`, an ISO date or time in UTC, as datetime64[ns].

    Raises
    ------
    ValueError
        If the option is missing or is not a time.
    """
    text = text_option(config, key)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"source {config.group}: option {key!r} must be an ISO time, found {text!r}"
        ) from error
    return np.datetime64(moment.replace(tzinfo=None), "ns")


def duration(days: float) -> np.timedelta64:
    """Return `days` as timedelta64[ns], rounded to the millisecond."""
    return np.timedelta64(round(days * 86_400_000) * 1_000_000, "ns")


def latency(config: SourceConfig) -> np.timedelta64:
    """Return the delay between the end of a value's period and its release, timedelta64[ns]."""
    return duration(config.latency_days)

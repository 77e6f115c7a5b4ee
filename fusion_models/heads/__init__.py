"""Heads: from a cell's embedding to a forecast."""

from fusion_models.heads.log_rate import LogRateHead

__all__ = ["LogRateHead"]

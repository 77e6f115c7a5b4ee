"""Aftershock forecasts: a sequence, what is believed of it, its drawn futures, and what they say."""

"""Figures, tables and the summary of a run; plain matplotlib and text, no Prefect."""

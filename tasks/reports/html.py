"""The looks of a page: one style, escaped tables and images, a document around them."""

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "h1{font-size:1.6rem;margin-bottom:0}h2{font-size:1.15rem;margin-top:2.2rem}"
    "table{border-collapse:collapse;font-size:.85rem;width:100%}"
    "th{text-align:left;border-bottom:2px solid #444;padding:.25rem .6rem}"
    "td{border-bottom:1px solid #ddd;padding:.25rem .6rem;font-variant-numeric:tabular-nums}"
    "img{max-width:100%}p,li{max-width:48rem}.small{color:#555;font-size:.85rem}"
)


def document(title: str, body: str) -> str:
    """Return the HTML page around `body`; the title is escaped."""
    return (
        f"<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<style>{STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def image(path: Path, text: str) -> str:
    """Return an image beside the page, or in `figures/` below it, with an alternative text."""
    source = f"figures/{path.name}" if path.parent.name == "figures" else path.name
    return f'<img src="{html.escape(source)}" alt="{html.escape(text)}">'


def table(rows: Sequence[Mapping[str, str]]) -> str:
    """Return rows of text as a table, every text escaped; "None." where there are none."""
    if not rows:
        return "<p>None.</p>"
    head = "".join(f"<th>{html.escape(name)}</th>" for name in rows[0])
    lines = ["".join(f"<td>{html.escape(value)}</td>" for value in row.values()) for row in rows]
    return f"<table><tr>{head}</tr>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"

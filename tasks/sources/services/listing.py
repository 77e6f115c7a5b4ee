"""The directory pages that web servers make: which names they link to."""

from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


def listed_names(page: str, url: str) -> list[str]:
    """Return the names directly below `url` that the directory page links to, sorted; folders end in a slash.

    Links elsewhere, to the parent, to columns to sort by, and names with a slash inside are no entries.
    """
    parser = _Links()
    parser.feed(page)
    base = url if url.endswith("/") else f"{url}/"
    names = set()
    for href in parser.found:
        target = urlsplit(urljoin(base, href))
        if target.query or target.netloc != urlsplit(base).netloc:
            continue
        folder = unquote(urlsplit(base).path)
        name = unquote(target.path).removeprefix(folder)
        if unquote(target.path).startswith(folder) and name.strip("/") and "/" not in name.rstrip("/"):
            names.add(name)
    return sorted(names)

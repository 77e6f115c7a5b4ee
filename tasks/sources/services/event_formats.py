"""Answers of event services taken apart into events and put together again: ComCat's CSV and QuakeML."""

import copy
import csv
import io
from collections.abc import Sequence
from typing import Final, Generic, Protocol, TypeVar

from lxml import etree

from tasks.sources.contract import SourceDataInvalid
from tasks.sources.quakeml import event_id_of
from tasks.sources.xml_entities import refuse_doctype

_BED: Final = "http://quakeml.org/xmlns/bed/1.2"
_ROOT: Final = "http://quakeml.org/xmlns/quakeml/1.2"

E = TypeVar("E")


class EventFormat(Protocol, Generic[E]):
    """One format of an event service; `E` is an event in it."""

    name: str
    suffix: str

    def parse(self, content: bytes, where: str) -> list[tuple[str, E]]:
        """Return the events with their ids, in order; SourceDataInvalid naming `where` if it is another format."""
        ...

    def join(self, events: Sequence[E]) -> bytes:
        """Return a file of `events`."""
        ...

    def fingerprint(self, event: E) -> bytes:
        """Return what is equal only for equal versions."""
        ...

    def stamped(self, event: E, moment: str, is_withdrawn: bool) -> E:
        """Return a version of `event` made at `moment` (ISO, UTC), which withdraws it or shows it again."""
        ...


class ComcatCsv:
    """`format=csv` of the U.S. Geological Survey; an event is its row by column."""

    name, suffix = "csv", ".csv"

    def parse(self, content: bytes, where: str) -> list[tuple[str, dict[str, str]]]:
        """Return the rows with their ids."""
        try:
            reader = csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True)
            rows, columns = list(reader), list(reader.fieldnames or [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise SourceDataInvalid(where, "a CSV listing of events", str(error)) from error
        if not {"id", "time", "updated"} <= set(columns):
            found = repr(",".join(columns)[:60])
            raise SourceDataInvalid(where, "a CSV listing with id, time and updated", found)
        for row in rows:
            if None in row or None in row.values() or not row["id"]:
                raise SourceDataInvalid(
                    where, "whole rows, each with an id", f"the row {list(row.values())[:4]}"
                )
        return [(row["id"], row) for row in rows]

    def join(self, events: Sequence[dict[str, str]]) -> bytes:
        """Return a file of these rows."""
        columns = list(dict.fromkeys(column for event in events for column in event))
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(events)
        return text.getvalue().encode()

    def fingerprint(self, event: dict[str, str]) -> bytes:
        """Return the row."""
        return repr(sorted(event.items())).encode()

    def stamped(self, event: dict[str, str], moment: str, is_withdrawn: bool) -> dict[str, str]:
        """Return the row with `updated`, and `status` deleted if it is withdrawn."""
        status = "deleted" if is_withdrawn else event.get("status", "")
        return {**event, "updated": moment, "status": status}


class QuakeML:
    """`format=xml`; an event is its element."""

    name, suffix = "xml", ".xml"

    def parse(self, content: bytes, where: str) -> list[tuple[str, etree._Element]]:
        """Return the event elements with their ids."""
        refuse_doctype(content, where)
        try:
            root = etree.fromstring(
                content, etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
            )
        except etree.XMLSyntaxError as error:
            raise SourceDataInvalid(where, "well-formed QuakeML", str(error)) from error
        if etree.QName(root).localname != "quakeml":
            raise SourceDataInvalid(where, "QuakeML", f"<{etree.QName(root).localname}>"[:60])
        return [(event_id_of(event.get("publicID", "")), event) for event in root.iter("{*}event")]

    def join(self, events: Sequence[etree._Element]) -> bytes:
        """Return a document of these events."""
        root = etree.Element(f"{{{_ROOT}}}quakeml", nsmap={"q": _ROOT, None: _BED})
        parameters = etree.SubElement(root, f"{{{_BED}}}eventParameters", publicID="smi:local/revisions")
        parameters.extend([copy.deepcopy(event) for event in events])
        content: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
        return content

    def fingerprint(self, event: etree._Element) -> bytes:
        """Return the element in canonical form."""
        content: bytes = etree.tostring(event, method="c14n", exclusive=True, with_tail=False)
        return content

    def stamped(self, event: etree._Element, moment: str, is_withdrawn: bool) -> etree._Element:
        """Return the element of type "not existing" with that creation time, or with origins created then."""
        changed = copy.deepcopy(event)
        if is_withdrawn:
            _set(changed, "type", "not existing")
            _set_created(changed, moment)
        else:
            for origin in changed.findall("{*}origin"):
                _set_created(origin, moment)
        return changed


def _set(element: etree._Element, name: str, text: str) -> None:
    found = element.find(f"{{*}}{name}")
    if found is None:
        found = etree.SubElement(element, f"{{{etree.QName(element).namespace or _BED}}}{name}")
    found.text = text


def _set_created(element: etree._Element, moment: str) -> None:
    info = element.find("{*}creationInfo")
    if info is None:
        info = etree.SubElement(element, f"{{{etree.QName(element).namespace or _BED}}}creationInfo")
    _set(info, "creationTime", moment)

"""Check that a written report is complete."""

import base64
import io
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

from vaelab.reports.claims import NOT_RUN
from vaelab.reports.table import COLUMNS
from vaelab.reports.write import VERDICT_CLASSES
from vaelab.studies.study import Study

PREFIX = re.compile("data:image/(png|webp);base64,")


@dataclass
class Found(HTMLParser):
    """A parser that collects the elements of the page that have data-* attributes."""

    images: dict[str, str] = field(default_factory=dict)  # "3c", "3c prior" -> src
    cells: dict[tuple[str, str], str] = field(default_factory=dict)  # (run, column) -> text
    verdicts: dict[str, str] = field(default_factory=dict)  # claim -> text
    text: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.run = self.claim = ""
        self.into: tuple[dict, object, str] | None = None  # table, key and tag of the element being read

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        marks = {name: value or "" for name, value in attrs}
        self.run = marks.get("data-run", self.run)
        self.claim = marks.get("data-claim", self.claim)
        if "data-panel" in marks:
            self.images[marks["data-panel"]] = marks.get("src", "")
        if "data-column" in marks:
            self._read(self.cells, (self.run, marks["data-column"]), tag)
        if "data-verdict" in marks:
            self._read(self.verdicts, self.claim, tag)

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.into is not None:
            table, key, _ = self.into
            table[key] += data.strip()

    def handle_endtag(self, tag: str) -> None:
        if self.into is not None and tag == self.into[2]:
            self.into = None

    def _read(self, table: dict, key: object, tag: str) -> None:
        table[key] = ""
        self.into = (table, key, tag)


def check_report(study: Study, html: Path) -> list[str]:
    """Return what is missing from the report at `html`, one text for each; an empty list for a complete report.

    A complete report has an inlined PNG or WebP for every panel and its prior samples, text or a dash in every cell of
    every run, a verdict for every claim ("supported" for claims that must hold), and no mark "not run yet".
    """
    page = Found()
    page.feed(html.read_text(encoding="utf-8"))
    missing = [f"panel {key}: {fault}" for key in _panels(study) if (fault := _image_fault(page.images.get(key)))]
    for member in study.members:
        empty = [column for column in COLUMNS if not page.cells.get((member.label, column))]
        missing += [f"table: no {column} of {member.label}" for column in empty]
    for name in study.claims:
        verdicts = [verdict for key, verdict in page.verdicts.items() if key.rpartition("-")[0] == name]
        if not verdicts or any(verdict.rpartition("; ")[2] not in VERDICT_CLASSES for verdict in verdicts):
            missing.append(f"claim {name}: no verdict")
        if name in study.must:
            missing += [f"claim {name}: {verdict}" for verdict in verdicts if verdict != "supported"]
    return missing + ([f"the page has the mark '{NOT_RUN}'"] if NOT_RUN in page.text else [])


def _panels(study: Study) -> list[str]:
    keys = [(f"{figure.number}{panel.letter}", panel.show) for figure in study.figures for panel in figure.panels]
    return [key for key, _ in keys] + [f"{key} prior" for key, show in keys if show == "reconstructions"]


def _image_fault(src: str | None) -> str | None:
    """What is wrong with an image; None if it is a PNG or WebP inside the page."""
    if src is None:
        return "missing"
    if not (prefix := PREFIX.match(src)):
        return "not inlined as PNG or WebP"
    try:
        content = base64.b64decode(src[prefix.end() :], validate=True)
        with Image.open(io.BytesIO(content), formats=[prefix[1].upper()]) as image:
            image.load()
    except Exception as error:  # Pillow and base64 raise errors of many types for a damaged file
        return f"cannot be decoded ({type(error).__name__})"
    return None

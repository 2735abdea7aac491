"""Every place in a paper that the code and the pages cite by its number stands in docs/citations.md."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = ROOT / "docs" / "citations.md"
CITED = [
    *(ROOT / "vaelab").rglob("*.py"),
    *(ROOT / "vaelab").rglob("*.toml"),
    *(ROOT / "benchmarks").glob("*.py"),
    *(path for path in (ROOT / "docs").rglob("*.md") if path != LIST),
    ROOT / "README.md",
]
KINDS = "section|equation|appendix|theorem|algorithm|table|figure"
NUMBER = r"[A-Z0-9][\w.]*(?:-\w+)?"
ALSO = rf"(?:( and | to )(\d+))?(?: and ({KINDS}) (\w+))?"
PLACE = re.compile(rf"\b((?:19|20)\d\d[a-z]?)\)?,? ({KINDS})s? ({NUMBER}){ALSO}")
PLAIN = str.maketrans("øäńö", "oano")


def places(text: str) -> list[tuple[str, str]]:
    """What stands before it, and "2016 section 3", of each place that is cited in a text."""
    flat = re.sub(r"\s+", " ", text)
    found = list[tuple[str, str]]()
    for match in PLACE.finditer(flat):
        before = flat[max(0, match.start() - 80) : match.start()].translate(PLAIN).replace("Soenderby", "Sonderby")
        first, last = match[3].rstrip("."), match[5] or match[3].rpartition("-")[2]
        numbers = [first]
        if (first[0].isdigit() and "-" in first) or match[4] == " to ":
            numbers = [str(number) for number in range(int(first.partition("-")[0]), int(last) + 1)]
        elif match[5]:
            numbers.append(last)
        found += [(before, f"{match[1]} {match[2]} {number}") for number in numbers]
        if match[6]:
            found.append((before, f"{match[1]} {match[6]} {match[7]}"))
    return found


def listed() -> dict[str, list[tuple[str, str]]]:
    """ "2016 section 3" -> first author and files of each row of the list that has this place."""
    rows = [row.strip("| \n").split(" | ") for row in LIST.read_text().splitlines() if row.startswith("| ")]
    found = dict[str, list[tuple[str, str]]]()
    for paper, place, files, how, *_ in rows[1:]:
        assert how.strip(" |") in ("text", "second-hand", "not checked"), paper
        authors, _, year = paper.rpartition(" ")
        author = re.split(r",| et al| &", authors)[0].removeprefix("van den ").translate(PLAIN)
        found.setdefault(f"{year} {place}", []).append((author, files))
    return found


def test_a_range_of_places_is_each_of_them():
    assert places("Doe 2001, equations 1-3") == [("Doe ", f"2001 equation {i}") for i in (1, 2, 3)]
    assert places("Doe (2001), sections 2 to 3.") == [("Doe (", "2001 section 2"), ("Doe (", "2001 section 3")]
    assert places("Doe 2001, section 2 and table 4") == [("Doe ", "2001 section 2"), ("Doe ", "2001 table 4")]
    assert places("Doe 2001, appendices") == []


def test_every_place_that_is_cited_is_listed_with_its_file():
    known, lacking, cited = listed(), list[str](), 0
    for path in CITED:
        here = str(path.relative_to(ROOT)).removeprefix("vaelab/")
        for before, place in places(path.read_text()):
            cited += 1
            rows = [files for author, files in known.get(place, []) if author in before]
            if not any(f"`{here}`" in files for files in rows):
                lacking.append(f"{here}: ...{before}{place}")
    assert not lacking
    assert cited > 100


def test_no_row_is_of_what_is_cited_no_more():
    texts = {str(path.relative_to(ROOT)).removeprefix("vaelab/"): path.read_text() for path in CITED}
    cited = {name: {place for _, place in places(text)} for name, text in texts.items()}
    for place, rows in listed().items():
        for author, files in rows:
            found = [name for name in re.findall(r"`([^`]+)`", files) if place in cited.get(name, ())]
            assert found, f"{author} {place}"

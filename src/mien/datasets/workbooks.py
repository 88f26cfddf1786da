"""Tables of annotations: the first sheet of an Excel workbook (.xlsx) or a csv file, as text, without a dependency."""

from __future__ import annotations

import csv
import re
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from mien.errors import DataError

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


MOST_BYTES, MOST_COLUMNS = 2**28, 16_384
"""Of one part of a workbook, unpacked; and Excel's own limit."""
_DAMAGED = (OSError, LookupError, ValueError, EOFError, RuntimeError, csv.Error, zlib.error)
_NO_BOOK = (zipfile.BadZipFile, zipfile.LargeZipFile, ElementTree.ParseError)


def _text(node: ElementTree.Element) -> str:
    """The text of a cell or shared string: plain, or runs of rich text, without phonetic guides."""
    runs = [node, *node.findall(f"{_MAIN}r")]
    return "".join(part.text or "" for run in runs for part in run.findall(f"{_MAIN}t"))


def _column(reference: str) -> int:
    column = 0
    for letter in re.match("[A-Z]{0,9}", reference).group():  # type: ignore[union-attr]
        column = 26 * column + ord(letter) - ord("A") + 1
    return column - 1


def _part(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    """The XML of one part; one that unpacks to too much, or declares entities, is refused."""
    size = book.getinfo(name).file_size
    if size > MOST_BYTES:
        raise ValueError(f"{name} unpacks to {size} bytes, more than {MOST_BYTES}")
    data = book.read(name)
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data or data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise ValueError(f"{name} declares a document type or is no UTF-8, which no workbook needs")
    return ElementTree.fromstring(data)


def _sheet_name(book: zipfile.ZipFile) -> str:
    first = _part(book, "xl/workbook.xml").find(f"{_MAIN}sheets/{_MAIN}sheet")
    links = _part(book, "xl/_rels/workbook.xml.rels")
    for link in links:
        if first is not None and link.get("Id") == first.get(_LINK):
            target = link.get("Target", "")
            return target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    raise KeyError("first sheet")


def _read_xlsx(path: Path) -> list[tuple[int, list[str]]]:
    with zipfile.ZipFile(path) as book:
        strings: list[str] = []
        if "xl/sharedStrings.xml" in book.namelist():
            strings = [_text(item) for item in _part(book, "xl/sharedStrings.xml")]
        sheet = _part(book, _sheet_name(book))
    rows = []
    for count, row in enumerate(sheet.iter(f"{_MAIN}row"), 1):
        cells: list[str] = []
        for place, cell in enumerate(row.findall(f"{_MAIN}c")):
            column = _column(cell.get("r", "")) if cell.get("r") else place
            value = cell.find(f"{_MAIN}v")
            text = (value.text or "") if value is not None else ""
            if cell.get("t") == "s":
                text = strings[int(text)]
            elif cell.get("t") == "inlineStr":
                text = "".join(_text(inner) for inner in cell.findall(f"{_MAIN}is"))
            if not 0 <= column < MOST_COLUMNS:
                raise ValueError(f"row {count} has a cell {cell.get('r')!r}")
            cells += [""] * (column + 1 - len(cells))
            cells[column] = text.strip()
        rows.append((int(row.get("r", count)), cells))
    return rows


def read_rows(path: Path) -> list[tuple[int, list[str]]]:
    """(row number, cells) of a csv file or of the first sheet of a workbook; numbers are text as stored.

    Raises:
        DataError: the file is missing or no such table.
    """
    try:
        if path.suffix.lower() != ".csv":
            return _read_xlsx(path)
        with open(path, newline="", encoding="utf-8-sig") as file:
            return [(number, [cell.strip() for cell in row]) for number, row in enumerate(csv.reader(file), 1)]
    except (*_DAMAGED, *_NO_BOOK) as error:
        raise DataError(f"{path} is missing or not a readable .xlsx or .csv table ({error})") from error


def plain(name: str) -> str:
    """A column's name without spaces, line breaks and case: `Onset Frame` and `OnsetFrame` are one."""
    return re.sub(r"\s+", "", name).lower()


def read_table(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(row number, cells by `plain` column name) of the rows under the first row that names all the needed columns.

    Raises:
        DataError: no row names them.
    """
    header: list[str] = []
    rows = []
    for number, cells in read_rows(path):
        if header:
            if any(cells):
                padded = cells + [""] * (len(header) - len(cells))
                rows.append((number, {name: cell for name, cell in zip(header, padded, strict=False) if name}))
        elif {plain(name) for name in needed} <= {plain(cell) for cell in cells}:
            header = [plain(cell) for cell in cells]
    if not header:
        raise DataError(f"{path} has no row with the columns {', '.join(needed)}")
    return rows


def integer(cells: dict[str, str], column: str, path: Path, row: int) -> int:
    """A whole number from a cell; Excel may store it as `46.0`.

    Raises:
        DataError: the cell holds something else.
    """
    text = cells.get(plain(column), "")
    try:
        return int(float(text))
    except (ValueError, OverflowError) as error:
        raise DataError(f"{path}, row {row}: {column} is {text!r}, expected a whole number") from error


_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" ContentType='
    '"application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override PartName="/xl/workbook.xml"'
    ' ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName='
    '"/xl/sharedStrings.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml'
    '"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type='
    f'"{_OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{_MAIN[1:-1]}" xmlns:r="{_OFFICE}"><sheets>'
    '<sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type='
    f'"{_OFFICE}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="{_OFFICE}/sharedStrings" '
    'Target="sharedStrings.xml"/></Relationships>',
}


def write_xlsx(path: Path, rows: Sequence[Sequence[str | int]]) -> None:
    """Write a workbook of one sheet, the same bytes each time: strings shared, numbers in the cell, "" left out."""
    strings: dict[str, int] = {}
    lines = []
    for number, row in enumerate(rows, 1):
        cells = []
        for column, value in enumerate(row):
            place = f"{chr(ord('A') + column)}{number}"
            if isinstance(value, int):
                cells.append(f'<c r="{place}"><v>{value}</v></c>')
            elif value:
                cells.append(f'<c r="{place}" t="s"><v>{strings.setdefault(value, len(strings))}</v></c>')
        lines.append(f'<row r="{number}">{"".join(cells)}</row>')
    shared = "".join(f"<si><t>{escape(value)}</t></si>" for value in strings)
    parts = {
        **_PARTS,
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{_MAIN[1:-1]}"><sheetData>{"".join(lines)}</sheetData>'
        "</worksheet>",
        "xl/sharedStrings.xml": f'<sst xmlns="{_MAIN[1:-1]}">{shared}</sst>',
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in parts.items():
            book.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), '<?xml version="1.0" encoding="UTF-8"?>' + text)

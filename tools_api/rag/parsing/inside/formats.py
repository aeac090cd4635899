"""Hands a file to the parser of its format, which is only imported then."""

from __future__ import annotations

import io

from blocks import Bounds, Content, Refused
from kinds import TEXTS, kind_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def parse(data: bytes, name: str, hint: str | None, bounds: Bounds, depth: int = 0) -> Content:
    """Parse a file. Raises `Refused`, or whatever the parser of its format raises for one that is damaged.

    `depth` counts the containers that it was found in: a message's attachments.
    """
    if not data.strip(b"\0 \t\r\n"):
        raise Refused("empty", "The file is empty.")
    kind, media_type = kind_of(data, name, hint)
    content = (
        _text(data, name, kind, bounds) if kind in TEXTS - {"eml"} else _other(data, kind, media_type, bounds, depth)
    )
    bounds.check_characters(sum(len(block.text) for block in content.blocks))
    return content


def _text(data: bytes, name: str, kind: str, bounds: Bounds) -> Content:
    from parse_text import decode, parse_text

    if len(data) > 4 * bounds.characters:
        bounds.check_characters(len(data))
    match kind:
        case "markdown":
            from parse_markdown import parse_markdown

            return parse_markdown(decode(data))
        case "html":
            from parse_html import parse_html

            return parse_html(decode(data), bounds)
        case "csv":
            from parse_table import parse_csv

            return parse_csv(decode(data), bounds)
        case "json" | "jsonl":
            from parse_json import parse_json, parse_json_lines

            return (parse_json if kind == "json" else parse_json_lines)(decode(data), bounds)
        case "code":
            from parse_code import parse_code

            return parse_code(decode(data))
        case "xml":
            from parse_xml import parse_xml

            return parse_xml(data, bounds)
        case _:
            return parse_text(data)


def _other(data: bytes, kind: str, media_type: str, bounds: Bounds, depth: int) -> Content:
    match kind:
        case "docx" | "pptx" | "xlsx" | "xls" | "ods" | "odt" | "odp" | "epub":
            return _package(data, kind, media_type, bounds)
        case "pdf":
            from parse_pdf import parse_pdf

            return parse_pdf(data, bounds)
        case "eml":
            from parse_eml import parse_eml

            return parse_eml(data, bounds, depth)
        case "rtf":
            from parse_rtf import parse_rtf

            return parse_rtf(data, bounds)
        case "image":
            from parse_image import parse_image

            return parse_image(data, media_type, bounds)
        case "zip":
            return _refuse_archive(data, bounds)
        case _:
            raise Refused("unsupported", f"Files of this kind ({media_type}) can't be read.")


def _refuse_archive(data: bytes, bounds: Bounds) -> NoReturn:
    """Say why an archive has come here instead of the files in it: what is wrong with it, if anything is."""
    from unzip import listing

    for _ in listing(io.BytesIO(data), bounds):
        break
    raise Refused("unsupported", "It is a ZIP archive in another file, which is not unpacked. Upload it by itself.")


def _package(data: bytes, kind: str, media_type: str, bounds: Bounds) -> Content:
    match kind:
        case "docx":
            from parse_docx import parse_docx

            return parse_docx(data, media_type, bounds)
        case "pptx":
            from parse_pptx import parse_pptx

            return parse_pptx(data, media_type, bounds)
        case "odt" | "odp":
            from parse_odf import parse_odf

            return parse_odf(data, kind, media_type, bounds)
        case "epub":
            from parse_epub import parse_epub

            return parse_epub(data, bounds)
        case _:
            from parse_sheets import parse_sheets

            return parse_sheets(data, kind, media_type, bounds)

"""Files of the formats, made by the libraries that people make them with, and by hand where an attack needs it."""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def pdf(
    pages: Iterable[Iterable[tuple[str, str]]], *, title: str = "", outline: bool = False, password: str = ""
) -> bytes:
    """Make a PDF: on each page (style, text), styles are reportlab's."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate

    class Template(SimpleDocTemplate):
        def afterFlowable(self, flowable: Any) -> None:
            if outline and isinstance(flowable, Paragraph) and flowable.style.name.startswith("Heading"):
                key = str(id(flowable))
                self.canv.bookmarkPage(key)
                self.canv.addOutlineEntry(flowable.getPlainText(), key, int(flowable.style.name[-1]) - 1)

    styles = getSampleStyleSheet()
    story: list[Any] = []
    for page in pages:
        story += [Paragraph(text, styles[style]) for style, text in page]
        story.append(PageBreak())
    file = io.BytesIO()
    encryption = StandardEncryption(password) if password else None
    Template(file, title=title, author="Ada", encrypt=encryption).build(story)
    return file.getvalue()


def docx(build: Any, **properties: str) -> bytes:
    """Make a Word document; `build` is given python-docx's `Document`."""
    import docx as python_docx

    document = python_docx.Document()
    for name, value in properties.items():
        setattr(document.core_properties, name, value)
    build(document)
    file = io.BytesIO()
    document.save(file)
    return file.getvalue()


def zipped(members: Mapping[str, bytes | str], *, level: int = 6) -> bytes:
    """Make a ZIP."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def raw_docx(document: bytes | str, *, level: int = 6) -> bytes:
    """Make a Word document of a part that is given as it is."""
    return zipped({"[Content_Types].xml": "<Types/>", "word/document.xml": document}, level=level)


def body(inside: str) -> str:
    """Wrap paragraphs as the document's part."""
    return f'<?xml version="1.0"?><w:document {W}><w:body>{inside}</w:body></w:document>'


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """Make a PNG that says to be so large; by default without its pixels."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def picture_of(text: str) -> bytes:
    """Draw words as a picture that a reader of print can read."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("L", (900, 160), 255)
    ImageDraw.Draw(image).text((30, 40), text, fill=0, font=ImageFont.load_default(size=56))
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def scanned_pdf(picture: bytes) -> bytes:
    """Make a PDF that is nothing but a picture."""
    from reportlab.lib.utils import ImageReader
    from reportlab.pdfgen.canvas import Canvas

    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(450, 80))
    canvas.drawImage(ImageReader(io.BytesIO(picture)), 0, 0, 450, 80)
    canvas.save()
    return file.getvalue()


def raw_pdf(objects: Iterable[bytes], *, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """Make a PDF of objects that are given as they are, numbered from 1, with a right table of their places."""
    out = bytearray(b"%PDF-1.7\n")
    places: list[int] = []
    for number, content in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    at = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(places) + 1)
    for place in places:
        out += b"%010d 00000 n \n" % place
    out += b"trailer\n<< /Size %d %s >>\nstartxref\n%d\n%%%%EOF\n" % (len(places) + 1, trailer, at)
    return bytes(out)

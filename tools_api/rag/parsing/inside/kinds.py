"""Which format a file is, by its first bytes; its name decides between formats that are text. They must agree."""

from __future__ import annotations

import io
import zipfile

from blocks import Refused

_OOXML = {
    "word/document.xml": ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    "ppt/presentation.xml": ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    "xl/workbook.xml": ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "xl/workbook.bin": ("xlsx", "application/vnd.ms-excel.sheet.binary.macroEnabled.12"),
}
_BY_MIMETYPE = {
    b"application/epub+zip": "epub",
    b"application/vnd.oasis.opendocument.text": "odt",
    b"application/vnd.oasis.opendocument.spreadsheet": "ods",
    b"application/vnd.oasis.opendocument.presentation": "odp",
}
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image", "image/png"),
    (b"\xff\xd8\xff", "image", "image/jpeg"),
    (b"II*\0", "image", "image/tiff"),
    (b"MM\0*", "image", "image/tiff"),
    (b"{\\rtf", "rtf", "application/rtf"),
)
_UNREAD = (
    (b"GIF8", "a GIF picture"),
    (b"RIFF", "sound, video or a WebP picture"),
    (b"BM", "a BMP picture"),
    (b"\x1f\x8b", "compressed (gzip)"),
    (b"BZh", "compressed (bzip2)"),
    (b"\xfd7zXZ\0", "compressed (xz)"),
    (b"\x28\xb5\x2f\xfd", "compressed (zstd)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "an SQLite database"),
    (b"\0asm", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"ID3", "sound"),
    (b"OggS", "sound or video"),
)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_OF_EXTENSION = {
    "pdf": "pdf",
    "docx docm dotx": "docx",
    "pptx pptm ppsx potx": "pptx",
    "xlsx xlsm xlsb": "xlsx",
    "xls": "xls",
    "odt": "odt",
    "ods": "ods",
    "odp": "odp",
    "epub": "epub",
    "rtf": "rtf",
    "png jpg jpeg tif tiff": "image",
    "zip": "zip",
    "html htm xhtml": "html",
    "md markdown mdown mkd": "markdown",
    "csv tsv tab": "csv",
    "json": "json",
    "jsonl ndjson": "jsonl",
    "eml": "eml",
    "xml svg rss atom xsd": "xml",
    "txt text log rst adoc asciidoc org tex srt vtt": "text",
    "py pyi js mjs cjs jsx ts tsx java kt kts scala groovy c h cc cpp cxx hpp hh cs go rs rb php swift m mm": "code",
    "lua pl pm r jl sh bash zsh fish ps1 bat sql dart ex exs erl hs ml fs clj lisp el vim proto graphql css": "code",
    "scss less vue svelte toml yaml yml ini cfg conf properties makefile cmake tf hcl nix gradle": "code",
}
_KINDS = {extension: kind for extensions, kind in _OF_EXTENSION.items() for extension in extensions.split()}
_CODE_NAMES = {"dockerfile", "makefile", "rakefile", "gemfile", "justfile", "cmakelists.txt"}
_FEW = 8
TEXTS = frozenset({"html", "markdown", "csv", "json", "jsonl", "eml", "xml", "text", "code"})
_OF_MEDIA_TYPE = {
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/markdown": "markdown",
    "text/csv": "csv",
    "text/tab-separated-values": "csv",
    "application/json": "json",
    "application/jsonl": "jsonl",
    "application/x-ndjson": "jsonl",
    "message/rfc822": "eml",
    "application/xml": "xml",
    "text/xml": "xml",
    "image/svg+xml": "xml",
}
MEDIA_TYPES = {
    "pdf": "application/pdf",
    "epub": "application/epub+zip",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "odp": "application/vnd.oasis.opendocument.presentation",
    "xls": "application/vnd.ms-excel",
    "html": "text/html",
    "markdown": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
    "jsonl": "application/jsonl",
    "eml": "message/rfc822",
    "xml": "application/xml",
    "text": "text/plain",
    "code": "text/x-source",
}


def extension_of(name: str) -> str:
    """Return the extension in small letters without its dot; of `Makefile` and the like the name itself."""
    base = name.replace("\\", "/").rpartition("/")[2].lower()
    if base in _CODE_NAMES:
        return "makefile"
    stem, dot, extension = base.rpartition(".")
    return extension if dot and stem else ""


def kind_of(data: bytes, name: str, hint: str | None = None) -> tuple[str, str]:
    """Return the kind and the media type of a file.

    Raises `Refused`: `unsupported`, `mismatch` if name and content disagree, `polyglot` if it is two things at once.
    """
    named = _KINDS.get(extension_of(name)) or _OF_MEDIA_TYPE.get((hint or "").partition(";")[0].strip().lower())
    kind, media_type = _by_content(data) or ("", "")
    if not kind:
        if named is not None and named not in TEXTS:
            raise Refused("mismatch", f"Its name ends in .{extension_of(name)}, but that is not what the file holds.")
        kind = named or ("html" if _looks_like_html(data) else "text")
        media_type = MEDIA_TYPES[kind]
    elif named is not None and named != kind:
        raise Refused("mismatch", f"Its name ends in .{extension_of(name)}, but its content is {_called(kind)}.")
    _must_be_one_thing(data, kind)
    return kind, media_type


def _by_content(data: bytes) -> tuple[str, str] | None:
    """Return what the first bytes say; None if they say nothing, as those of a text."""
    head = data[:1024]
    if head.lstrip(b"\xef\xbb\xbf\r\n\t ").startswith(b"%PDF-"):
        return "pdf", MEDIA_TYPES["pdf"]
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _kind_of_zip(data)
    if head.startswith(_OLE):
        return _kind_of_ole(data)
    for magic, kind, media_type in _MAGIC:
        if head.startswith(magic):
            return kind, media_type
    for magic, what in _UNREAD:
        if head.startswith(magic) and (b"\0" in head or not magic.isascii()):
            raise Refused("unsupported", f"The file is {what}, which can't be read here.")
    return None


def _kind_of_zip(data: bytes) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if len(archive.infolist()) > 20_000:
                raise Refused("too_large", "It has more than 20000 parts inside.")
            names = set(archive.namelist())
            found = {kind for part, (kind, _) in _OOXML.items() if part in names}
            if len(found) > 1:
                raise Refused("polyglot", "The file claims to be several kinds of document at once.")
            for part, kind in _OOXML.items():
                if part in names:
                    return kind
            if "mimetype" in names and archive.getinfo("mimetype").file_size < 200:
                said = archive.read("mimetype").strip()
                if kind := _BY_MIMETYPE.get(said):
                    return kind, said.decode()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError, OSError):
        raise Refused("broken", "The file begins like a ZIP or an Office document, but it is damaged.") from None
    return "zip", "application/zip"


def _kind_of_ole(data: bytes) -> tuple[str, str]:
    if "EncryptedPackage".encode("utf-16-le") in data:
        raise Refused("encrypted", "The document is protected with a password. Save it without one.")
    if any(name.encode("utf-16-le") in data for name in ("Workbook", "Book")):
        return "xls", MEDIA_TYPES["xls"]
    raise Refused(
        "unsupported", "The file is in an old Office format (.doc, .ppt or .msg). Save it as .docx, .pptx or .eml."
    )


def _must_be_one_thing(data: bytes, kind: str) -> None:
    """Refuse a file that another program would take for something else."""
    if kind not in {"zip", "docx", "pptx", "xlsx", "epub", "odt", "ods", "odp"} and _ends_like_zip(data):
        raise Refused("polyglot", "The file is a ZIP archive as well. Send one or the other.")
    if kind != "pdf" and kind not in TEXTS and b"%PDF-" in data[:1024]:
        raise Refused("polyglot", "The file is a PDF as well. Send one or the other.")
    if kind in TEXTS and b"%PDF-" in data[:1024] and b"\nstartxref" in data[-2048:]:
        raise Refused("polyglot", "The file is a PDF with something before it. Send one or the other.")
    if kind in TEXTS and _is_binary(data[:4096]):
        raise Refused("unsupported", "The file is neither text nor a format that can be read here.")


def _ends_like_zip(data: bytes) -> bool:
    tail = data[-(1 << 16) - 22 :]
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        return False
    comment = int.from_bytes(tail[at + 20 : at + 22], "little")
    entries = int.from_bytes(tail[at + 10 : at + 12], "little")
    return at + 22 + comment <= len(tail) and entries > 0 and b"PK\x01\x02" in data


def _is_binary(head: bytes) -> bool:
    """Say whether this is no text in any encoding; UTF-16 and UTF-32 are known by their mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")):
        return False
    odd = sum(byte < 9 or 13 < byte < 27 or 27 < byte < 32 for byte in head)
    return odd > _FEW and odd * 10 > len(head)


def _looks_like_html(data: bytes) -> bool:
    head = data[:512].lstrip(b"\xef\xbb\xbf\r\n\t ").lower()
    return head.startswith((b"<!doctype html", b"<html"))


def _called(kind: str) -> str:
    return {"image": "a picture", "zip": "a ZIP archive"}.get(kind, kind.upper())

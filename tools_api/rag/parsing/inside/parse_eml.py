"""E-mails: the headers that a reader sees, the text, and what is attached, parsed as the files that they are."""

from __future__ import annotations

import email
import email.policy

from blocks import Block, Bounds, Content, Refused, clean, facts, one_line, paragraphs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from email.message import EmailMessage, MIMEPart

_SHOWN = ("From", "To", "Cc", "Date", "Subject")
_DEEPEST = 3
_MOST_ATTACHMENTS = 200


def parse_eml(data: bytes, bounds: Bounds, depth: int) -> Content:
    """Parse a message. Raises `Refused`; an attachment that can't be read is named and passed over."""
    message: EmailMessage = email.message_from_bytes(data, policy=email.policy.default)  # type: ignore[assignment]
    said = {name: one_line(_header(message, name), 500) for name in _SHOWN}
    if not any(said.values()) and not message.keys():
        raise Refused("broken", "It is no e-mail: there are no headers.")
    shown = "\n".join(f"{name}: {value}" for name, value in said.items() if value)
    subject = said["Subject"] or None
    blocks = [Block("heading", subject, level=1, silent=True)] if subject else []
    blocks += [Block("list", shown)] if shown else []
    blocks += _body(message, bounds)
    for number, part in enumerate(_attachments(message)):
        if number >= _MOST_ATTACHMENTS:
            raise Refused("too_large", f"It has more than {_MOST_ATTACHMENTS} attachments.")
        blocks += _attachment(part, bounds, depth)
        bounds.check_characters(sum(len(block.text) for block in blocks))
    metadata = facts({"author": said["From"], "date": said["Date"]})
    return Content("message/rfc822", blocks, title=subject, metadata=metadata)


def _header(message: EmailMessage, name: str) -> str:
    try:
        return str(message.get(name, ""))
    except (ValueError, LookupError, TypeError, AttributeError):  # the library trips over some malformed headers
        return ""


def _body(message: EmailMessage, bounds: Bounds) -> Iterator[Block]:
    part = message.get_body(("plain", "html"))
    if part is None:
        return
    text = _text_of(part)
    if part.get_content_subtype() == "html":
        from parse_html import parse_html

        yield from parse_html(text, bounds).blocks
    else:
        yield from paragraphs(text)


def _text_of(part: MIMEPart) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    try:
        return clean(data.decode(part.get_content_charset("utf-8"), "replace"))
    except LookupError:
        from parse_text import decode

        return decode(data)


def _attachments(message: EmailMessage) -> Iterator[EmailMessage]:
    if message.get_content_maintype() == "multipart":
        yield from message.iter_attachments()  # type: ignore[misc]


def _attachment(part: EmailMessage, bounds: Bounds, depth: int) -> Iterator[Block]:
    name = one_line(part.get_filename() or "", 150)
    data = _bytes_of(part)
    heading = f"Attachment: {name}" if name else "Attached message" if _is_message(part) else "Attachment"
    if not data.strip():
        return
    yield Block("heading", heading, level=1)
    try:
        content = _parsed(data, name or ("message.eml" if _is_message(part) else ""), part, bounds, depth)
    except Refused as refusal:
        if refusal.code in {"too_large", "memory"} and depth == 0 and "characters" in refusal.message:
            raise
        yield Block("text", f"(not read: {refusal.message})")
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 - every parser has errors of its own; the message itself can be read
        yield Block("text", "(not read: it is damaged)")
    else:
        for block in content.blocks:
            block.page = None
            block.level = min(block.level + 1, 6) if block.kind == "heading" else 0
            yield block


def _parsed(data: bytes, name: str, part: EmailMessage, bounds: Bounds, depth: int) -> Content:
    if depth >= _DEEPEST:
        raise Refused("too_complex", "It is attached to an attachment of an attachment.")
    from formats import parse

    return parse(data, name, part.get_content_type(), bounds, depth + 1)


def _is_message(part: EmailMessage) -> bool:
    return part.get_content_type() == "message/rfc822"


def _bytes_of(part: EmailMessage) -> bytes:
    if _is_message(part):
        inner = part.get_payload()
        return inner[0].as_bytes() if isinstance(inner, list) and inner else b""  # type: ignore[union-attr]
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""

"""Pictures: the text that tesseract reads in them, if it is installed on the host."""

from __future__ import annotations

import io
import os

from blocks import Block, Bounds, Content, Refused, clean, paragraphs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

TESSERACT = "/usr/bin/tesseract"
NEEDS_OCR = (
    "It is a picture of text, and there is no tesseract on this server to read it. An administrator can install it "
    "(Debian: apt-get install tesseract-ocr)."
)
_FORMATS = ("PNG", "JPEG", "TIFF")
_LONGEST_SIDE = 5000
_MOST_LANGUAGES = 4


def can_read() -> bool:
    """Say whether there is a tesseract."""
    return os.access(TESSERACT, os.X_OK)


def parse_image(data: bytes, media_type: str, bounds: Bounds) -> Content:
    """Read a picture, or the pictures of a TIFF. Raises `Refused`."""
    try:
        from PIL import Image
    except ImportError:
        raise Refused(
            "unsupported", "Pictures can't be read on this server: its sandbox runs no compiled code."
        ) from None
    Image.MAX_IMAGE_PIXELS = None  # looked at below, before a pixel is read
    with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
        _check_size(image, bounds)
        if not can_read():
            raise Refused("needs_ocr", NEEDS_OCR)
        frames = int(getattr(image, "n_frames", 1))
        bounds.check_pages(frames)
        blocks: list[Block] = []
        for number in range(frames):
            image.seek(number)
            _check_size(image, bounds)
            blocks += read_picture(image, number + 1 if frames > 1 else None)
    if not blocks:
        raise Refused("empty", "There is no text in the picture that could be read.")
    return Content(media_type, blocks, pages=frames if frames > 1 else None)


def _check_size(image: Any, bounds: Bounds) -> None:
    width, height = image.size
    if width * height > bounds.pixels:
        raise Refused("too_large", f"The picture has {width} x {height} pixels; at most {bounds.pixels} are read.")


def read_picture(image: Any, page: int | None) -> Iterator[Block]:
    """Read one picture with tesseract. Raises `Refused` if that fails."""
    import subprocess

    picture: Any = image.convert("L")
    picture.thumbnail((_LONGEST_SIDE, _LONGEST_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=1)
    done = subprocess.run(
        [TESSERACT, "stdin", "stdout", "-l", _languages()], input=buffer.getvalue(), capture_output=True, check=False
    )
    if done.returncode != 0:
        reason = " ".join(done.stderr.decode("utf-8", "replace").split())[:150]
        raise Refused("broken", f"Tesseract could not read the picture: {reason or done.returncode}")
    yield from paragraphs(clean(done.stdout.decode("utf-8", "replace")), page)


def _languages() -> str:
    """Return what is installed, English first."""
    import subprocess

    listed = subprocess.run([TESSERACT, "--list-langs"], capture_output=True, text=True, check=False).stdout.split("\n")
    names = [name.strip() for name in listed[1:] if name.strip() and name.strip() not in {"osd", "equ"}]
    names.sort(key=lambda name: name != "eng")
    return "+".join(names[:_MOST_LANGUAGES]) or "eng"

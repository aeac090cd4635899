"""How a file that somebody or something else made leaves this origin: saved, never shown or run as a page."""


def download_headers(*, media_type: str | None, offered_disposition: str | None, size: int | None) -> dict[str, str]:
    """Return the headers of a download; what the tools API offers is taken where it is harmless."""
    offered = offered_disposition or ""
    safe = offered.isascii() and offered.lower().startswith("attachment")
    headers = {
        "content-type": media_type if media_type and media_type.isascii() else "application/octet-stream",
        "cache-control": "private, no-store",
        "content-disposition": offered if safe else "attachment",
        "content-security-policy": "sandbox; default-src 'none'",
        "x-content-type-options": "nosniff",
    }
    if size is not None:
        headers["content-length"] = str(size)
    return headers

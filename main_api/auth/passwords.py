"""What a password must look like, and hashing it with bcrypt without holding up the event loop. Knows no accounts."""

import asyncio
import os
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import bcrypt

from shared.errors import InvalidRequest, Unavailable

MIN_CHARACTERS = 8
MAX_BYTES = 72
"""bcrypt reads no further. What is longer is refused: cutting it would let `a…a1` open what `a…a2` closed."""

_Result = TypeVar("_Result")
_SALT_AND_DIGEST = "C6UzMDM.H6dfI/f/IKxGhuJPVMGAVbjcXVBLZiLPWmqSmXU9CVbDi"  # well-formed; of no known password


class UnacceptablePassword(InvalidRequest):
    """A new password breaks a rule; the message names the rules that it breaks."""

    code = "unacceptable_password"

    def __init__(self, message: str) -> None:
        super().__init__(message, param="password")


def check_new_password(password: str, *, needs_special: bool) -> None:
    """Raise `UnacceptablePassword` unless a password may be set.

    Core document: at least 8 characters with a digit; portal document (`needs_special`): also a special character.
    Length is counted after Unicode normalisation, in characters at the lower end and in UTF-8 bytes at the upper.
    """
    encoded = _encode(password)
    if encoded is None:
        raise UnacceptablePassword(
            f"The password is longer than {MAX_BYTES} bytes in UTF-8, or holds a character that cannot be stored "
            "(NUL, half of a surrogate pair). Choose a shorter or simpler one; nothing is ever cut off."
        )
    text = encoded.decode()
    broken = [
        rule
        for rule, kept in (
            (f"have at least {MIN_CHARACTERS} characters", len(text) >= MIN_CHARACTERS),
            ("contain a digit", any(character.isdecimal() for character in text)),
            ("contain a special character such as ! or ?", not needs_special or _has_special(text)),
        )
        if not kept
    ]
    if broken:
        raise UnacceptablePassword(f"The password must {' and '.join(broken)}.")


class PasswordHasher:
    """Hashes and verifies in a few threads of its own; bcrypt lets go of the interpreter's lock.

    `rounds` is bcrypt's cost (12: about a quarter of a second). At most `max_waiting` calls wait for a thread, the
    next one raises `Unavailable`, so that a flood of sign-ins cannot pile up work for minutes.
    """

    def __init__(self, *, rounds: int = 12, max_waiting: int = 64) -> None:
        self._rounds = rounds
        self._max_waiting = max_waiting
        self._waiting = 0
        self._threads = ThreadPoolExecutor(max_workers=min(4, os.cpu_count() or 1), thread_name_prefix="bcrypt")
        self._nobody = f"$2b${rounds:02d}${_SALT_AND_DIGEST}".encode()

    async def hash(self, password: str) -> str:
        """Return the bcrypt hash of a password that `check_new_password` let pass."""
        encoded = _encode(password)
        if encoded is None:
            raise UnacceptablePassword("The password cannot be hashed.")
        return (await self._run(bcrypt.hashpw, encoded, bcrypt.gensalt(self._rounds))).decode("ascii")

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Say whether the password has this hash; None (no such account) takes the same time and is false."""
        encoded = _encode(password)
        if encoded is None:  # never set, whoever's it is
            return False
        matches = await self._run(bcrypt.checkpw, encoded, self._nobody if hashed is None else hashed.encode("ascii"))
        return matches and hashed is not None

    def close(self) -> None:
        """Stop the threads; what waits is dropped."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, function: Callable[[bytes, bytes], _Result], password: bytes, salt_or_hash: bytes) -> _Result:
        if self._waiting >= self._max_waiting:
            raise Unavailable("Too many people are signing in at this moment; try again shortly.", retry_after=5)
        self._waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, function, password, salt_or_hash)
        finally:
            self._waiting -= 1


def _encode(password: str) -> bytes | None:
    """Return the bytes to hash: UTF-8 of the NFC form, so that é typed on two keyboards is one. None: unusable."""
    if len(password) > 4 * MAX_BYTES or "\0" in password:  # normalising a megabyte would be work already
        return None
    try:
        encoded = unicodedata.normalize("NFC", password).encode()
    except UnicodeEncodeError:
        return None
    return encoded if len(encoded) <= MAX_BYTES else None


def _has_special(text: str) -> bool:
    return any(not character.isalnum() and not character.isspace() for character in text)

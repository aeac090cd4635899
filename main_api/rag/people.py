"""Names for people, words for the tools API: it knows accounts by a word that says nothing of their names."""

from collections.abc import Iterable

from main_api.auth.principal import Principal, person_word, user_id_in
from main_api.auth.service import AuthService
from shared.errors import InvalidRequest
from shared.tools_contract import JsonObject

EVERYBODY = "*"
"""Stands for everyone who has an account here, in both languages."""


class People:
    """Translates between the names of accounts and the words for them."""

    def __init__(self, auth: AuthService) -> None:
        self._auth = auth

    async def word_for(self, username: str, *, asked_by: Principal) -> str:
        """Return the word for whom a collection is shared with. Raises `UserNotFound`, `InvalidRequest` for oneself."""
        if username == EVERYBODY:
            return EVERYBODY
        account = await self._auth.account_named(username)
        if account.id == asked_by.user_id:
            raise InvalidRequest("Name somebody else: what is yours need not be shared with you.", param="user")
        return person_word(account.id)

    async def named(self, objects: Iterable[JsonObject], field: str, *, as_field: str) -> list[JsonObject]:
        """Return the objects with the name of an account in `as_field` instead of its word in `field`; None where there
        is no such account any more."""
        found = [{**value} for value in objects]
        words = [value.pop(field, None) for value in found]
        ids = {word: user_id for word in words if isinstance(word, str) and (user_id := user_id_in(word)) is not None}
        names = await self._auth.usernames(set(ids.values()))
        for value, word in zip(found, words, strict=True):
            value[as_field] = EVERYBODY if word == EVERYBODY else names.get(ids.get(word, 0))
        return found

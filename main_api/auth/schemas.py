"""The bodies of the account endpoints, in the names of the core and the portal document at once.

Lengths here only keep nonsense away from the service, which knows the rules and words its refusals.
"""

from datetime import datetime
from typing import Annotated

from pydantic import AliasChoices, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, EmailStr, Field
from pydantic.alias_generators import to_camel

from main_api.auth.accounts import Account, IssuedTokens, KeyInfo
from main_api.auth.principal import Role

_Text = Annotated[str, Field(max_length=1024)]


def _empty_is_none(value: object) -> object:
    return None if value == "" else value


class SignUpRequest(BaseModel):
    """A new account. `role` is `user` unless an admin asks."""

    username: _Text
    password: _Text
    role: Role = "user"
    email: Annotated[Annotated[EmailStr, Field(max_length=320)] | None, BeforeValidator(_empty_is_none)] = None


class LoginRequest(BaseModel):
    """A name and a password."""

    username: _Text
    password: _Text


class RefreshRequest(BaseModel):
    """The refresh token of the last login or refresh."""

    refresh_token: Annotated[_Text, Field(validation_alias=AliasChoices("refresh_token", "refreshToken"))]


class PasswordRequest(BaseModel):
    """The password that is and the one to be."""

    old_password: Annotated[
        _Text, Field(validation_alias=AliasChoices("old_password", "oldPassword", "currentPassword"))
    ]
    new_password: Annotated[_Text, Field(validation_alias=AliasChoices("new_password", "newPassword"))]


class ApiKeyRequest(BaseModel):
    """A new API key. `scopes` limits it (all if left out), `expiresAt` ends it (never if left out)."""

    name: Annotated[_Text, Field(validation_alias=AliasChoices("keyName", "name", "key_name"))] = "API key"
    scopes: Annotated[list[_Text], Field(max_length=20)] | None = None
    expires_at: Annotated[AwareDatetime | None, Field(validation_alias=AliasChoices("expiresAt", "expires_at"))] = None


class _Answer(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True)


class UserAnswer(_Answer):
    """An account."""

    id: int
    username: str
    role: Role
    email: str | None
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "UserAnswer":
        return cls(
            id=account.id,
            username=account.username,
            role=account.role,
            email=account.email,
            created_at=account.created_at,
        )


class SignUpAnswer(_Answer):
    """The portal's `success`, `message`, `userId`, and the account."""

    success: bool = True
    message: str = "User created successfully"
    user_id: int
    user: UserAnswer


class TokensData(_Answer):
    """The tokens in the portal's names."""

    user: UserAnswer
    access_token: str
    refresh_token: str


class TokensAnswer(BaseModel):
    """The tokens in the core document's names, those of OAuth, and in the portal's below `data`."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - OAuth's word, no secret
    refresh_token: str
    expires_in: int
    success: bool = True
    data: TokensData

    @classmethod
    def of(cls, issued: IssuedTokens) -> "TokensAnswer":
        data = TokensData(
            user=UserAnswer.of(issued.account),
            access_token=issued.access_token,
            refresh_token=issued.refresh_token,
        )
        return cls(
            access_token=issued.access_token,
            refresh_token=issued.refresh_token,
            expires_in=issued.expires_in,
            data=data,
        )


class DoneAnswer(_Answer):
    """Nothing to tell but that it was done."""

    success: bool = True
    message: str


class MeAnswer(_Answer):
    """The caller's account."""

    success: bool = True
    data: UserAnswer


class KeyAnswer(_Answer):
    """An API key, by the first characters of its secret."""

    id: int
    key_name: str
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked: bool

    @classmethod
    def of(cls, key: KeyInfo) -> "KeyAnswer":
        return cls(
            id=key.id,
            key_name=key.name,
            name=key.name,
            prefix=key.prefix,
            scopes=sorted(key.scopes),
            created_at=key.created_at,
            expires_at=key.expires_at,
            last_used_at=key.last_used_at,
            revoked=key.revoked_at is not None,
        )


class NewKeyData(KeyAnswer):
    """An API key with its secret, which is shown this once."""

    api_key: str
    message: str = "API key generated successfully. Store it securely - it will not be shown again."


class NewKeyAnswer(_Answer):
    """The portal's answer to a new API key."""

    success: bool = True
    data: NewKeyData


class KeysAnswer(_Answer):
    """Every API key of the caller."""

    success: bool = True
    data: list[KeyAnswer]

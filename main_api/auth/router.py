"""The account endpoints below `/api/auth`, of the core document (`signup`) and the portal document (`register`)."""

from typing import Annotated

from fastapi import APIRouter, Depends, Path, Request

from main_api.auth.deps import (
    Auth,
    CallingClient,
    PersonPrincipal,
    auth_service,
    client_of,
    credentials_in,
    limited_by_address,
)
from main_api.auth.schemas import (
    ApiKeyRequest,
    DoneAnswer,
    KeyAnswer,
    KeysAnswer,
    LoginRequest,
    MeAnswer,
    NewKeyAnswer,
    NewKeyData,
    PasswordRequest,
    RefreshRequest,
    SignUpAnswer,
    SignUpRequest,
    TokensAnswer,
    UserAnswer,
)
from main_api.auth.service import NewAccount
from main_api.limits.limit import REFRESH_PER_ADDRESS, SIGN_IN_PER_ADDRESS, SIGN_UP_PER_ADDRESS

router = APIRouter(prefix="/api/auth", tags=["accounts"])

KeyId = Annotated[int, Path(ge=1, le=2**31 - 1)]
_sign_up_limit = Depends(limited_by_address(SIGN_UP_PER_ADDRESS))
_sign_in_limit = Depends(limited_by_address(SIGN_IN_PER_ADDRESS))
_refresh_limit = Depends(limited_by_address(REFRESH_PER_ADDRESS))


@router.post("/signup", status_code=201, dependencies=[_sign_up_limit])
async def sign_up(request: Request, body: SignUpRequest) -> SignUpAnswer:
    """Make an account. The password has at least 8 characters with a digit, and at most 72 bytes in UTF-8.

    `role: admin` needs an admin's access token, or to be the very first account, made from the server's own machine.
    """
    return await _sign_up(request, body, needs_special=False)


@router.post("/register", status_code=201, dependencies=[_sign_up_limit])
async def register(request: Request, body: SignUpRequest) -> SignUpAnswer:
    """Make an account by the portal's rules: like `signup`, and the password also has a special character."""
    return await _sign_up(request, body, needs_special=True)


@router.post("/login", dependencies=[_sign_in_limit])
async def login(body: LoginRequest, auth: Auth, client: CallingClient) -> TokensAnswer:
    """Exchange a name and a password for an access token and a refresh token."""
    issued = await auth.login(username=body.username, password=body.password, address=client.bucket)
    return TokensAnswer.of(issued)


@router.post("/refresh", dependencies=[_refresh_limit])
async def refresh(body: RefreshRequest, auth: Auth) -> TokensAnswer:
    """Exchange a refresh token for the next pair of tokens. It is good for one exchange.

    Repeating an exchange within ten seconds gives the same answer; any later use ends the whole login.
    """
    return TokensAnswer.of(await auth.refresh(body.refresh_token))


@router.post("/logout")
async def logout(principal: PersonPrincipal, auth: Auth) -> DoneAnswer:
    """End this login: its access and refresh tokens are refused from now on."""
    await auth.logout(principal)
    return DoneAnswer(message="Signed out")


@router.get("/me")
async def me(principal: PersonPrincipal, auth: Auth) -> MeAnswer:
    """Return the caller's account."""
    return MeAnswer(data=UserAnswer.of(await auth.account(principal.user_id)))


@router.post("/password", dependencies=[_sign_in_limit])
async def change_password(
    body: PasswordRequest, principal: PersonPrincipal, auth: Auth, client: CallingClient
) -> TokensAnswer:
    """Change the caller's password. Every earlier token ends; the answer holds new ones. API keys stay."""
    issued = await auth.change_password(principal, old=body.old_password, new=body.new_password, address=client.bucket)
    return TokensAnswer.of(issued)


@router.post("/api-keys", status_code=201)
async def create_api_key(body: ApiKeyRequest, principal: PersonPrincipal, auth: Auth) -> NewKeyAnswer:
    """Make an API key. The key is shown in this answer and never again."""
    secret, key = await auth.keys.create(
        principal.user_id, name=body.name, scopes=body.scopes, expires_at=body.expires_at
    )
    return NewKeyAnswer(data=NewKeyData(**KeyAnswer.of(key).model_dump(by_alias=False), api_key=secret))


@router.get("/api-keys")
async def list_api_keys(principal: PersonPrincipal, auth: Auth) -> KeysAnswer:
    """List the caller's API keys, revoked ones too."""
    return KeysAnswer(data=[KeyAnswer.of(key) for key in await auth.keys.of_user(principal.user_id)])


@router.delete("/api-keys/{key_id}")
async def revoke_api_key(key_id: KeyId, principal: PersonPrincipal, auth: Auth) -> DoneAnswer:
    """Revoke an API key for good; the next request with it is refused."""
    key = await auth.keys.revoke(principal.user_id, key_id)
    return DoneAnswer(message=f"API key {key.name!r} revoked")


async def _sign_up(request: Request, body: SignUpRequest, *, needs_special: bool) -> SignUpAnswer:
    auth = auth_service(request)
    requested_by = None
    if body.role == "admin":  # anything less needs no credential, so a stale one does no harm
        authorization, api_key = credentials_in(request.scope)
        if authorization or api_key:
            requested_by = await auth.authenticate(authorization=authorization, api_key=api_key)
    new = NewAccount(
        username=body.username,
        password=body.password,
        email=body.email,
        role=body.role,
        needs_special=needs_special,
    )
    account = await auth.sign_up(new, requested_by=requested_by, is_local=client_of(request).is_local)
    return SignUpAnswer(user_id=account.id, user=UserAnswer.of(account))

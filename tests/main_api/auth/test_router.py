"""The account endpoints as clients of the core and the portal document call them."""

from datetime import UTC, datetime, timedelta
from time import process_time

import pytest

from tests.main_api.auth.conftest import PASSWORD, SERVICE_KEY, Api


async def test_signup_login_and_me_tell_one_story(api: Api) -> None:
    signed_up = await api.sign_up("Ada.L", email="ada@example.org")
    assert signed_up.status_code == 201
    assert signed_up.json()["success"] is True
    user_id = signed_up.json()["userId"]
    login = (await api.login("ada.l")).json()
    me = await api.http.get("/api/auth/me", headers={"authorization": f"Bearer {login['access_token']}"})
    assert me.json()["data"] | {"createdAt": ""} == {
        "id": user_id,
        "username": "Ada.L",
        "role": "user",
        "email": "ada@example.org",
        "createdAt": "",
    }


async def test_register_answers_in_the_portals_shape(api: Api) -> None:
    body = {"username": "myuser", "password": "Pass123!", "email": "my@example.org"}
    response = await api.http.post("/api/auth/register", json=body)
    answer = response.json()
    assert response.status_code == 201
    assert (answer["success"], answer["message"], type(answer["userId"])) == (True, "User created successfully", int)


async def test_login_answers_with_all_the_names_at_once(api: Api) -> None:
    await api.sign_up()
    answer = (await api.login()).json()
    assert answer["success"] is True
    assert answer["token_type"] == "bearer"
    assert answer["expires_in"] == 7 * 24 * 3600
    assert answer["data"]["accessToken"] == answer["access_token"]
    assert answer["data"]["refreshToken"] == answer["refresh_token"]
    assert answer["data"]["user"]["username"] == "ada"
    assert isinstance(answer["data"]["user"]["id"], int)


@pytest.mark.parametrize(
    ("path", "password", "complaint"),
    [
        ("signup", "short 1", "at least 8 characters"),
        ("signup", "no digit here", "a digit"),
        ("register", "password123", "special character"),
        ("signup", "1" + "a" * 72, "72 bytes"),
        ("signup", "1" + "é" * 36, "72 bytes"),
        ("signup", "12345678\0", "NUL"),
        ("signup", "12345678\ud800", ""),
        ("signup", "1" * 1_000_000, ""),
    ],
)
async def test_an_unacceptable_password_is_refused_with_the_reason(
    api: Api, path: str, password: str, complaint: str
) -> None:
    import json

    body = json.dumps({"username": "ada", "password": password})
    started = process_time()
    headers = {"content-type": "application/json"}
    response = await api.http.post(f"/api/auth/{path}", content=body, headers=headers)
    assert response.status_code in {400, 422}
    assert complaint in response.json()["error"]
    assert password not in response.text
    assert process_time() - started < 0.5, "it was hashed or copied over and over"


@pytest.mark.parametrize("username", ["ab", "a" * 65, "with space", "söme", ".dot", "a\0b", "../etc", "<b>x</b>", ""])
async def test_an_unacceptable_username_is_refused(api: Api, username: str) -> None:
    response = await api.sign_up(username)
    assert response.status_code == 400
    assert response.json()["param"] == "username"


@pytest.mark.parametrize("email", ["nonsense", "a@b", "a@@example.org", "x" * 400 + "@example.org"])
async def test_a_wrong_email_is_refused(api: Api, email: str) -> None:
    assert (await api.sign_up(email=email)).status_code == 422


async def test_null_stands_for_what_is_left_out(api: Api) -> None:
    assert (await api.sign_up(email=None)).status_code == 201
    headers = {"authorization": f"Bearer {(await api.login()).json()['access_token']}"}
    body = {"scopes": None, "expiresAt": None}
    created = await api.http.post("/api/auth/api-keys", json=body, headers=headers)
    assert created.json()["data"]["scopes"] == ["chat", "models", "sessions", "tools"]


async def test_an_empty_email_is_none(api: Api) -> None:
    assert (await api.sign_up(email="")).json()["user"]["email"] is None


async def test_a_name_in_another_case_is_taken(api: Api) -> None:
    await api.sign_up("ada")
    response = await api.sign_up("ADA")
    assert response.status_code == 409
    assert response.json()["code"] == "username_taken"


async def test_fields_that_nobody_asked_for_change_nothing(api: Api) -> None:
    answer = (await api.sign_up(is_admin=True, id=99, disabled_at=None, password_hash="x")).json()
    assert answer["user"]["role"] == "user"
    assert answer["userId"] != 99


async def test_a_remote_first_account_is_refused_the_role_admin(api: Api) -> None:
    response = await api.sign_up(role="admin")
    assert response.status_code == 403
    assert (await api.login()).status_code == 401


async def test_the_first_account_made_on_this_machine_may_be_admin_and_the_second_not(api: Api) -> None:
    local = api.connect("127.0.0.1")
    body = {"username": "root1", "password": PASSWORD, "role": "admin"}
    assert (await local.post("/api/auth/signup", json=body)).status_code == 201
    assert (await local.post("/api/auth/signup", json=body | {"username": "root2"})).status_code == 403


async def test_a_proxy_on_this_machine_makes_nobody_local(api: Api) -> None:
    body = {"username": "root1", "password": PASSWORD, "role": "admin"}
    headers = {"x-forwarded-for": "127.0.0.1"}
    assert (await api.connect("127.0.0.1").post("/api/auth/signup", json=body, headers=headers)).status_code == 403


async def test_an_admin_makes_another_admin_and_nobody_else_does(api: Api) -> None:
    await api.connect("127.0.0.1").post(
        "/api/auth/signup", json={"username": "root1", "password": PASSWORD, "role": "admin"}
    )
    root = {"authorization": f"Bearer {(await api.login('root1')).json()['access_token']}"}
    ada = await api.bearer("ada")
    key = (await api.http.post("/api/auth/api-keys", json={}, headers=root)).json()["data"]["apiKey"]
    body = {"username": "root2", "password": PASSWORD, "role": "admin"}
    refused = [
        await api.http.post("/api/auth/signup", json=body, headers=headers)
        for headers in (ada, {"x-api-key": key}, {"x-api-key": SERVICE_KEY})
    ]
    assert [response.status_code for response in refused] == [403, 403, 403]
    assert (await api.http.post("/api/auth/signup", json=body, headers=root)).status_code == 201


async def test_an_unknown_role_is_refused(api: Api) -> None:
    assert (await api.sign_up(role="superuser")).status_code == 422


async def test_admin_endpoints_want_an_admin_in_person(api: Api) -> None:
    await api.connect("127.0.0.1").post(
        "/api/auth/signup", json={"username": "root1", "password": PASSWORD, "role": "admin"}
    )
    root = {"authorization": f"Bearer {(await api.login('root1')).json()['access_token']}"}
    ada = await api.bearer("ada")
    key = (await api.http.post("/api/auth/api-keys", json={}, headers=root)).json()["data"]["apiKey"]
    codes = [(await api.http.get("/admin", headers=h)).status_code for h in (root, ada, {"x-api-key": key}, {})]
    assert codes == [200, 403, 403, 401]


async def test_logout_ends_the_access_token_and_the_refresh_token_at_once(api: Api) -> None:
    await api.sign_up()
    tokens = (await api.login()).json()
    other = (await api.login()).json()
    headers = {"authorization": f"Bearer {tokens['access_token']}"}
    assert (await api.http.get("/whoami", headers=headers)).status_code == 200
    assert (await api.http.post("/api/auth/logout", headers=headers)).json()["success"] is True
    assert (await api.http.get("/whoami", headers=headers)).status_code == 401
    refresh = await api.http.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert refresh.status_code == 401
    headers = {"authorization": f"Bearer {other['access_token']}"}
    assert (await api.http.get("/whoami", headers=headers)).status_code == 200


@pytest.mark.parametrize("name", ["refresh_token", "refreshToken"])
async def test_refresh_takes_both_names_and_answers_like_login(api: Api, name: str) -> None:
    await api.sign_up()
    first = (await api.login()).json()
    second = (await api.http.post("/api/auth/refresh", json={name: first["refresh_token"]})).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["data"]["accessToken"] == second["access_token"] != first["access_token"]
    headers = {"authorization": f"Bearer {second['access_token']}"}
    assert (await api.http.get("/api/auth/me", headers=headers)).status_code == 200


async def test_a_new_password_ends_every_other_token_and_keeps_api_keys(api: Api) -> None:
    await api.sign_up()
    elsewhere, here = (await api.login()).json(), (await api.login()).json()
    headers = {"authorization": f"Bearer {here['access_token']}"}
    key = (await api.http.post("/api/auth/api-keys", json={}, headers=headers)).json()["data"]["apiKey"]
    body = {"oldPassword": PASSWORD, "newPassword": "another horse 2"}
    changed = await api.http.post("/api/auth/password", json=body, headers=headers)
    assert changed.status_code == 200
    tokens = (elsewhere["access_token"], here["access_token"], changed.json()["access_token"], key)
    codes = [
        (await api.http.get("/whoami", headers={"authorization": f"Bearer {token}"})).status_code for token in tokens
    ]
    assert codes == [401, 401, 200, 200]
    assert (await api.login()).status_code == 401
    assert (await api.login(password="another horse 2")).status_code == 200
    for old in (elsewhere, here):
        refresh = await api.http.post("/api/auth/refresh", json={"refresh_token": old["refresh_token"]})
        assert refresh.status_code == 401


async def test_a_new_password_needs_the_old_one(api: Api) -> None:
    headers = await api.bearer()
    body = {"old_password": "wrong horse 1", "new_password": "another horse 2"}
    assert (await api.http.post("/api/auth/password", json=body, headers=headers)).status_code == 401
    assert (await api.login()).status_code == 200


async def test_an_api_key_is_shown_once_and_works_in_both_headers(api: Api) -> None:
    headers = await api.bearer()
    created = await api.http.post("/api/auth/api-keys", json={"keyName": "My Development Key"}, headers=headers)
    data = created.json()["data"]
    assert created.json()["success"] is True
    assert data["keyName"] == "My Development Key"
    assert data["message"] == "API key generated successfully. Store it securely - it will not be shown again."
    key = data["apiKey"]
    assert (len(key), key[:3]) == (67, "ak_")
    for sent in ({"x-api-key": key}, {"authorization": f"Bearer {key}"}, {"authorization": f"bearer {key}"}):
        assert (await api.http.get("/whoami", headers=sent)).json()["credential"] == "api_key"
    listed = await api.http.get("/api/auth/api-keys", headers=headers)
    assert key not in listed.text
    (entry,) = listed.json()["data"]
    assert entry["prefix"] == key[:11]
    assert (entry["name"], entry["revoked"], entry["lastUsedAt"]) == ("My Development Key", False, None)


async def test_a_revoked_api_key_fails_the_next_request(api: Api) -> None:
    headers = await api.bearer()
    data = (await api.http.post("/api/auth/api-keys", json={"name": "x"}, headers=headers)).json()["data"]
    key = {"x-api-key": data["apiKey"]}
    assert (await api.http.get("/whoami", headers=key)).status_code == 200
    assert (await api.http.delete(f"/api/auth/api-keys/{data['id']}", headers=headers)).status_code == 200
    assert (await api.http.get("/whoami", headers=key)).status_code == 401
    assert (await api.http.get("/api/auth/api-keys", headers=headers)).json()["data"][0]["revoked"] is True


async def test_somebody_elses_api_key_looks_like_none(api: Api) -> None:
    ada, bob = await api.bearer("ada"), await api.bearer("bob")
    data = (await api.http.post("/api/auth/api-keys", json={}, headers=ada)).json()["data"]
    for key_id in (data["id"], 424242):
        response = await api.http.delete(f"/api/auth/api-keys/{key_id}", headers=bob)
        assert (response.status_code, response.json()["error"]) == (404, "There is no such API key.")
    assert (await api.http.get("/whoami", headers={"x-api-key": data["apiKey"]})).status_code == 200


@pytest.mark.parametrize("key_id", ["0", "-1", "x", str(2**31), str(10**30), "1%20or%201=1"])
async def test_ids_that_are_none_are_refused(api: Api, key_id: str) -> None:
    assert (await api.http.delete(f"/api/auth/api-keys/{key_id}", headers=await api.bearer())).status_code == 422


async def test_an_api_key_can_expire(api: Api) -> None:
    headers = await api.bearer()
    at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    created = await api.http.post("/api/auth/api-keys", json={"expiresAt": at}, headers=headers)
    assert created.status_code == 201
    assert datetime.fromisoformat(created.json()["data"]["expiresAt"]) == datetime.fromisoformat(at)
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    assert (await api.http.post("/api/auth/api-keys", json={"expiresAt": past}, headers=headers)).status_code == 400
    for nonsense in ("2026-01-01T00:00:00", "soon"):
        response = await api.http.post("/api/auth/api-keys", json={"expiresAt": nonsense}, headers=headers)
        assert response.status_code == 422


async def test_an_api_key_has_the_scopes_that_were_asked_for(api: Api) -> None:
    headers = await api.bearer()
    data = (await api.http.post("/api/auth/api-keys", json={"scopes": ["models"]}, headers=headers)).json()["data"]
    assert data["scopes"] == ["models"]
    assert (await api.http.get("/whoami", headers={"x-api-key": data["apiKey"]})).json()["scopes"] == ["models"]
    for wrong in (["admin"], []):
        response = await api.http.post("/api/auth/api-keys", json={"scopes": wrong}, headers=headers)
        assert response.status_code == 400


async def test_account_endpoints_want_a_person(api: Api) -> None:
    headers = await api.bearer()
    key = (await api.http.post("/api/auth/api-keys", json={}, headers=headers)).json()["data"]["apiKey"]
    calls = [("GET", "me"), ("POST", "logout"), ("GET", "api-keys"), ("POST", "api-keys"), ("DELETE", "api-keys/1")]
    for method, path in calls:
        for credential in (key, SERVICE_KEY):
            response = await api.http.request(method, f"/api/auth/{path}", headers={"x-api-key": credential}, json={})
            assert response.status_code == 403, path
        assert (await api.http.request(method, f"/api/auth/{path}", json={})).status_code == 401


async def test_a_key_in_the_query_is_not_read(api: Api) -> None:
    headers = await api.bearer()
    key = (await api.http.post("/api/auth/api-keys", json={}, headers=headers)).json()["data"]["apiKey"]
    for name in ("api_key", "apiKey", "access_token", "token", "X-API-Key", "key"):
        assert (await api.http.get("/whoami", params={name: key})).status_code == 401


@pytest.mark.parametrize("host", ["evil/?", "evil/#", "localhost", "127.0.0.1:10007", "evil/api/auth/login?"])
async def test_the_host_header_decides_nothing(api: Api, host: str) -> None:
    headers = {"host": host, "x-original-url": "/api/auth/login", "x-forwarded-host": "localhost"}
    assert (await api.http.get("/whoami", headers=headers)).status_code == 401
    response = await api.http.post(
        "/api/auth/signup", json={"username": "root1", "password": PASSWORD, "role": "admin"}, headers=headers
    )
    assert response.status_code == 403


@pytest.mark.parametrize(
    "path", ["//whoami", "/./whoami", "/%77hoami", "/whoami;x", "/whoami.", "/WHOAMI", "/whoami%00", "/whoami/"]
)
async def test_no_spelling_of_a_path_reaches_a_handler_without_a_credential(api: Api, path: str) -> None:
    response = await api.http.get(path)
    assert response.status_code in {307, 401, 404}
    assert "user_id" not in response.text


async def test_logins_are_limited_by_address_as_in_the_portal_document(limited_api: Api) -> None:
    await limited_api.sign_up()
    codes = [(await limited_api.login(password="wrong horse 1")).status_code for _ in range(6)]
    assert codes == [401] * 5 + [429]
    refused = await limited_api.login()
    assert refused.status_code == 429
    assert 0 < int(refused.headers["retry-after"]) <= 900
    assert refused.json()["details"]["limitType"] == "15 minutes"


async def test_a_victim_can_sign_in_while_others_guess(limited_api: Api) -> None:
    await limited_api.sign_up()
    for number in range(30):
        attacker = limited_api.connect(f"203.0.113.{number}")
        body = {"username": "ada", "password": "wrong horse 1"}
        assert (await attacker.post("/api/auth/login", json=body)).status_code == 401
    assert (await limited_api.login()).status_code == 200


async def test_a_made_up_forwarding_header_gives_no_new_address(limited_api: Api) -> None:
    body = {"username": "ada", "password": "wrong horse 1"}
    codes = [
        (
            await limited_api.http.post("/api/auth/login", json=body, headers={"x-forwarded-for": f"10.9.8.{n}"})
        ).status_code
        for n in range(6)
    ]
    assert codes[-1] == 429


async def test_behind_a_trusted_proxy_each_client_counts_for_itself(limited_api: Api) -> None:
    proxy = limited_api.connect("10.0.0.1")
    body = {"username": "ada", "password": "wrong horse 1"}
    codes = [
        (await proxy.post("/api/auth/login", json=body, headers={"x-forwarded-for": f"203.0.113.{n}"})).status_code
        for n in range(8)
    ]
    assert codes == [401] * 8


async def test_registrations_are_limited_to_three_an_hour_and_address(limited_api: Api) -> None:
    codes = [(await limited_api.sign_up(f"user{number}")).status_code for number in range(4)]
    assert codes == [201, 201, 201, 429]
    other = limited_api.connect("203.0.113.1")
    response = await other.post("/api/auth/signup", json={"username": "other", "password": PASSWORD})
    assert response.status_code == 201


async def test_requests_are_limited_per_key_and_minute(limited_api: Api) -> None:
    headers = await limited_api.bearer()
    key = (await limited_api.http.post("/api/auth/api-keys", json={}, headers=headers)).json()["data"]["apiKey"]
    codes = [(await limited_api.http.get("/whoami", headers={"x-api-key": key})).status_code for _ in range(21)]
    assert codes == [200] * 20 + [429]
    assert (await limited_api.http.get("/whoami", headers=headers)).status_code == 200
    service = [
        (await limited_api.http.get("/whoami", headers={"x-api-key": SERVICE_KEY})).status_code for _ in range(50)
    ]
    assert service == [200] * 50

"""Access: who gets in, who does not, and how that is answered."""

import re
from dataclasses import replace
from typing import Any

import pytest
import structlog
from flask import Flask

from app import logs
from app.errors import Unavailable
from app.web import auth
from app.web.auth import local_path
from app.web.auth_loopback import is_loopback, names_loopback
from tests.support.site import CLOSED, OPEN, TOKEN, Browser, Site

BEARER = {"Authorization": f"Bearer {TOKEN}"}
ANN, BOB = "the-token-of-ann", "the-token-of-bob"
NAMED = replace(CLOSED, tokens=(("ann", ANN), ("bob", BOB)))


@pytest.fixture(scope="module")
def closed() -> Site:
    return Site(CLOSED)


@pytest.fixture(scope="module")
def named() -> Site:
    return Site(NAMED)


@pytest.fixture(scope="module")
def unlocked() -> Site:
    return Site(OPEN)


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer ÿ", "Bearer a b"],
)
def test_the_api_refuses_whoever_does_not_send_the_token(closed: Site, header: str) -> None:
    response = closed.browser().get("/api/v1/gpus", headers={"Authorization": header} if header else {})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
    assert response.json is not None and response.json["code"] == 2050


@pytest.mark.parametrize("header", [f"Bearer {TOKEN}", f"bearer {TOKEN}"])
def test_the_token_opens_the_api_from_anywhere(closed: Site, header: str) -> None:
    browser = closed.browser()
    headers = {"Authorization": header, "X-Forwarded-For": "198.51.100.7", "Host": "gpu.example"}
    response = browser.get("/api/v1/gpus", headers=headers, environ_base={"REMOTE_ADDR": "198.51.100.7"})
    assert response.status_code == 200


def test_unknown_paths_of_the_api_want_the_token_too(closed: Site) -> None:
    assert closed.browser().get("/api/v1/nothing").status_code == 401
    assert closed.browser().get("/api/v1/nothing", headers=BEARER).status_code == 404


def test_a_login_does_not_open_the_api(closed: Site) -> None:
    operator = closed.operator()
    assert operator.get("/api/v1/gpus").status_code == 401
    assert operator.client.post("/api/v1/containers", json={}).status_code == 401


def test_a_login_or_the_token_opens_the_documents(closed: Site) -> None:
    for path in ("/api/docs", "/api/openapi.json"):
        assert closed.browser().get(path).status_code == 401
        assert closed.browser().get(path, headers=BEARER).status_code == 200
        assert closed.operator().get(path).status_code == 200
        assert closed.operator().client.post(path).status_code == 401


def test_probes_the_login_and_static_files_are_open(closed: Site) -> None:
    for path in ("/healthz", "/readyz", "/login", "/static/gpudock.js"):
        with closed.browser().get(path) as response:
            assert response.status_code == 200, path


@pytest.mark.parametrize("path", ["/", "/gpus", "/containers", "/containers/foo-0", "/nothing", "/static"])
def test_every_page_sends_strangers_to_the_login(closed: Site, path: str) -> None:
    response = closed.browser().get(path)
    assert (response.status_code, response.headers["Location"]) == (302, f"/login?next={path}")


def test_the_token_in_a_header_is_no_login(closed: Site) -> None:
    assert closed.browser().get("/", headers=BEARER).status_code == 302


def test_after_the_login_comes_the_page_that_was_asked_for(closed: Site) -> None:
    browser = closed.browser()
    asked = browser.get("/containers?state=running&name=foo").headers["Location"]
    response = browser.submit(asked, token=TOKEN)
    assert (response.status_code, response.headers["Location"]) == (302, "/containers?state=running&name=foo")
    assert browser.get("/containers?state=running&name=foo").status_code == 200


@pytest.mark.parametrize("wrong", ["", "wrong", TOKEN.upper(), f"{TOKEN} ", "ключ", "\ufffd"])
def test_a_wrong_token_does_not_log_in(closed: Site, wrong: str) -> None:
    browser = closed.browser()
    response = browser.submit("/login", token=wrong)
    assert response.status_code == 401 and "That is not the token" in response.text
    assert browser.get("/").status_code == 302


def test_the_logout_ends_the_login(closed: Site) -> None:
    operator = closed.operator()
    assert operator.submit("/logout", "/").headers["Location"] == "/login"
    assert operator.get("/").status_code == 302


def test_the_logout_is_no_link(closed: Site) -> None:
    assert closed.operator().get("/logout").status_code == 405


def test_forms_without_their_secret_are_refused(closed: Site) -> None:
    operator = closed.operator()
    for action in ("/login", "/logout", "/containers/foo-0/stop", "/containers/foo-0/restart"):
        response = operator.client.post(action, data={"token": TOKEN})
        assert response.status_code == 400 and "reload the page" in response.text, action
        foreign = closed.browser().csrf("/login")
        assert operator.client.post(action, data={"csrf_token": foreign}).status_code == 400, action
    assert operator.get("/").status_code == 200


def test_the_cookie_is_for_this_site_only_and_secure_over_https(closed: Site) -> None:
    cookie = closed.browser().get("/login").headers["Set-Cookie"]
    assert cookie.startswith("gpudock=") and "HttpOnly" in cookie and "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    over_https = closed.browser().get("/login", base_url="https://gpu.example").headers["Set-Cookie"]
    assert "Secure" in over_https


def test_a_login_over_https_works_with_the_referrer_that_our_pages_allow(closed: Site) -> None:
    client = closed.app.test_client()
    page = client.get("/login", base_url="https://gpu.example")
    assert page.headers["Referrer-Policy"] == "same-origin"
    secret = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"token": TOKEN, "csrf_token": secret}
    for referrer, status in (("https://gpu.example/login", 302), ("https://evil.example/", 400)):
        sent = client.post("/login", data=form, base_url="https://gpu.example", headers={"Referer": referrer})
        assert sent.status_code == status, referrer


def test_every_worker_reads_the_others_sessions_and_a_new_token_ends_them(closed: Site) -> None:
    cookie = closed.operator().client.get_cookie("gpudock")
    assert cookie is not None
    for config, status in ((CLOSED, 200), (replace(CLOSED, token="another-token-0123"), 302)):
        browser = Site(config).browser()
        browser.client.set_cookie("gpudock", cookie.value)
        assert browser.get("/").status_code == status


def test_every_token_opens_the_api_and_the_pages(named: Site) -> None:
    for token in (TOKEN, ANN, BOB):
        answer = named.browser().get("/api/v1/gpus", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200
        assert named.operator(token).get("/").status_code == 200
    for wrong in (f"{ANN}{BOB}", "ann", f"ann={ANN}", f"{ANN},{BOB}", ANN[:-1]):
        answer = named.browser().get("/api/v1/gpus", headers={"Authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401
        assert named.browser().submit("/login", token=wrong).status_code == 401


def test_the_token_without_a_name_may_be_left_out() -> None:
    site = Site(replace(NAMED, token=None))
    stranger = site.browser()
    assert stranger.get("/", environ_base={"REMOTE_ADDR": "10.0.0.1"}).headers["Location"] == "/login?next=/"
    assert stranger.get("/api/v1/gpus", headers=BEARER).status_code == 401
    assert "ann" in site.operator(ANN).page("/")


def test_who_is_logged_in_is_shown_if_the_token_has_a_name(named: Site) -> None:
    def shown(browser: Browser) -> list[str]:
        return re.findall(r'<span class="who">.*?</span> (.*?)</span>', browser.page("/"))

    assert shown(named.operator(ANN)) == ["ann"] and shown(named.operator(BOB)) == ["bob"]
    assert shown(named.operator()) == []


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"tokens": (("bob", BOB), ("ann", ANN))}, 200),
        ({"tokens": (("bob", BOB),)}, 302),
        ({"tokens": (("ann", "another-token-0123"), ("bob", BOB))}, 302),
        ({"tokens": (("bob", ANN), ("ann", BOB))}, 302),
        ({"tokens": ()}, 302),
        ({"token": None}, 302),
    ],
    ids=["another order", "gone", "changed", "renamed", "none", "another one gone"],
)
def test_a_login_ends_with_its_token(named: Site, changes: dict[str, Any], status: int) -> None:
    cookie = named.operator(ANN).client.get_cookie("gpudock")
    assert cookie is not None
    browser = Site(replace(NAMED, **changes)).browser()
    browser.client.set_cookie("gpudock", cookie.value)
    assert browser.get("/").status_code == status


def test_what_is_logged_for_a_request_tells_its_id_and_who_sent_it(
    named: Site, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def log_and_fail(**_: object) -> None:
        structlog.get_logger().warning("noted")
        raise Unavailable("etcd", "etcd does not answer")

    logs.configure()
    monkeypatch.setattr(named.services.operations.queries, "all", log_and_fail)
    for token, told in ((ANN, "who=ann"), (TOKEN, "")):
        headers = {"Authorization": f"Bearer {token}", "X-Request-Id": "mine"}
        assert named.browser().get("/api/v1/operations", headers=headers).status_code == 503
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 2, lines
        for line in lines:
            assert "request_id=mine" in line and told in line and ("who=" in line) == bool(told)
    structlog.get_logger().warning("noted")
    line = capsys.readouterr().err
    assert "noted" in line and "who=" not in line and "request_id=" not in line, "the request is over"


def test_a_login_dies_after_half_a_day(closed: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = closed.operator()
    monkeypatch.setitem(closed.app.config, "PERMANENT_SESSION_LIFETIME", -1)
    assert operator.get("/").status_code == 302


@pytest.mark.parametrize("text", ["/", "/containers/foo-0", "/containers?name=a&state=running", "/a/../b", "/%5cevil"])
def test_paths_on_this_site_are_local(text: str) -> None:
    assert local_path(text) == text


@pytest.mark.parametrize(
    "text",
    [
        *("", "containers", "//evil.example", "///evil.example", "/\\evil.example", "/\t/evil.example", "/\n/evil"),
        *("https://evil.example", "javascript:alert(1)", "\\\\evil.example", " //evil.example", "/a\\b", "/ä"),
    ],
)
def test_addresses_elsewhere_become_the_first_page(closed: Site, text: str) -> None:
    assert local_path(text) == "/"
    browser = closed.browser()
    secret = browser.csrf("/login")
    response = browser.client.post("/login", query_string={"next": text}, data={"token": TOKEN, "csrf_token": secret})
    assert response.headers["Location"] == "/"


@pytest.mark.parametrize("address", ["127.0.0.1", "127.255.255.254", "::1", "::ffff:127.0.0.1"])
def test_loopback_callers_need_no_token_where_none_is_set(unlocked: Site, address: str) -> None:
    assert is_loopback(address)
    for path in ("/", "/api/v1/gpus", "/healthz"):
        assert unlocked.browser().get(path, environ_base={"REMOTE_ADDR": address}).status_code == 200


@pytest.mark.parametrize(
    "address", ["", "10.0.0.1", "128.0.0.1", "::2", "::ffff:10.0.0.1", "unix:", "localhost", "fe80::1"]
)
def test_others_are_refused_where_no_token_is_set(unlocked: Site, address: str) -> None:
    assert not is_loopback(address)
    for path in ("/", "/api/v1/gpus", "/healthz", "/login", "/static/gpudock.js"):
        response = unlocked.browser().get(path, environ_base={"REMOTE_ADDR": address})
        assert response.status_code == 403 and "GPUDOCK_TOKEN" in response.text, path


@pytest.mark.parametrize(
    "header",
    ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "x-forwarded-server", "X-Real-IP", "Forwarded", "Via"],
)
def test_a_proxy_needs_a_token(unlocked: Site, header: str) -> None:
    response = unlocked.browser().get("/api/v1/gpus", headers={header: "127.0.0.1"})
    assert response.status_code == 403 and "proxy" in response.text and "GPUDOCK_TOKEN" in response.text


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:2378", "LOCALHOST", "127.0.0.1:80", "[::1]:2378", "127.1.2.3"]
)
def test_loopback_names_are_served(unlocked: Site, host: str) -> None:
    assert names_loopback(f"//{host}")
    assert unlocked.browser().get("/api/v1/gpus", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "evil"]
)
def test_a_foreign_name_that_points_at_loopback_is_refused(unlocked: Site, host: str) -> None:
    assert not names_loopback(f"//{host}")
    response = unlocked.browser().get("/api/v1/gpus", headers={"Host": host})
    assert response.status_code == 403


@pytest.mark.parametrize("url", ["//[", "//", "", "//[::1"])
def test_a_malformed_host_is_no_loopback_name(url: str) -> None:
    assert not names_loopback(url)


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost", 404),
        ("http://LOCALHOST", 404),
        ("http://localhost:8888", 403),
        ("https://evil.example", 403),
        ("http://localhost.evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
def test_a_page_of_another_site_cannot_write(unlocked: Site, origin: str, status: int) -> None:
    client = unlocked.browser().client
    for method in ("PATCH", "POST", "DELETE", "PUT"):
        sent = client.open("/api/v1/containers/foo-0/stop", method=method, headers={"Origin": origin})
        assert sent.status_code == (status if method == "PATCH" or status == 403 else 405), method
    assert client.get("/api/v1/gpus", headers={"Origin": origin}).status_code == 200


def test_auth_off_means_loopback_without_login_even_with_a_token() -> None:
    site = Site(replace(CLOSED, auth=False))
    assert site.browser().get("/").status_code == 200
    assert site.browser().get("/api/v1/gpus").status_code == 200
    assert site.browser().get("/api/v1/gpus", headers={"Via": "1.1 nginx"}).status_code == 403
    assert (
        site.browser().get("/api/v1/gpus", headers=BEARER, environ_base={"REMOTE_ADDR": "10.0.0.1"}).status_code == 403
    )


def test_without_a_token_there_is_nothing_to_log_in_to(unlocked: Site) -> None:
    response = unlocked.browser().get("/login?next=/gpus")
    assert (response.status_code, response.headers["Location"]) == (302, "/gpus")
    assert "Log out" not in unlocked.browser().page("/")


def test_the_key_of_the_sessions_differs_between_installations() -> None:
    def key(**changes: Any) -> bytes | str | None:
        app = Flask("test")
        auth.init_app(app, replace(CLOSED, **changes))
        return app.secret_key

    keys = [key(), key(token="another-token-0123"), key(prefix="/other"), key(tokens=(("ann", ANN),))]
    assert len(set(keys)) == 4 and key() == keys[0] == key(node="another one of the cluster")


def test_answers_forbid_frames_sniffing_and_foreign_content(closed: Site) -> None:
    headers = closed.browser().get("/login").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"

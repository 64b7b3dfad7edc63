"""Hosts, keys and limits of requests."""

import json

import pytest

from features.errors import InvalidInput, NotFound
from serving.app import build_app
from serving.http.access import (
    ARRIVED,
    LOOPBACK_HOSTS,
    HostCheck,
    KeyCheck,
    LoadLimit,
    RateLimit,
    Refused,
    required_scope,
)
from serving.http.keys import FILE, KeyStore
from serving.http.middleware import Policy
from serving.predictor import VersionHolder


def request(path="/v1/churn", method="POST", client="1.2.3.4", **headers):
    pairs = [
        (name.replace("_", "-").encode(), str(value).encode()) for name, value in headers.items()
    ]
    return {"type": "http", "path": path, "method": method, "headers": pairs, "client": (client, 1)}


@pytest.fixture
def store(tmp_path):
    return KeyStore(tmp_path)


def test_a_key_is_stored_as_a_hash_and_found_by_itself(store):
    key = store.create("shop", ["read"])
    assert key not in store.path.read_text()
    assert store.path.stat().st_mode & 0o077 == 0
    assert store.find(key).name == "shop"
    assert store.find(key + "x") is None


def test_a_key_that_another_process_revokes_is_refused(store, tmp_path, monkeypatch):
    monkeypatch.setattr("serving.http.keys.RELOAD_SECONDS", 0)
    key = store.create("shop", ["read"])
    assert store.find(key)
    KeyStore(tmp_path).revoke("shop")
    assert store.find(key) is None


def test_nobody_gets_in_with_a_damaged_file(store, monkeypatch):
    monkeypatch.setattr("serving.http.keys.RELOAD_SECONDS", 0)
    key = store.create("shop", ["read"])
    (store.path.parent / FILE).write_text("{")
    assert store.find(key) is None
    with pytest.raises(InvalidInput, match="foresell keys create"):
        store.stored()


def test_names_are_taken_once_and_unknown_ones_are_named(store):
    store.create("shop", ["read"])
    with pytest.raises(InvalidInput, match="taken"):
        store.create("shop", ["write"])
    with pytest.raises(InvalidInput, match="read, write, admin"):
        store.create("web", ["all"])
    with pytest.raises(NotFound, match="there is shop"):
        store.revoke("web")


@pytest.mark.parametrize(
    ("path", "method", "scope"),
    [
        ("/v1/churn", "POST", "read"),
        ("/v1/unknown", "GET", "read"),
        ("/metrics", "GET", "read"),
        ("/v1/events", "POST", "write"),
        ("/v1/customers", "DELETE", "admin"),
        ("/v1/admin/rollback", "POST", "admin"),
        ("/livez", "GET", None),
        ("/docs", "GET", None),
    ],
)
def test_each_request_needs_the_scope_of_what_it_does(path, method, scope):
    assert required_scope(request(path, method)) == scope


@pytest.fixture
def status_of():
    """The status with which checks refuse a request; 200 if they do not."""

    def status(check, scope):
        try:
            check(scope)
        except Refused as refused:
            return refused.status
        return 200

    return status


def test_a_request_needs_a_valid_key_with_its_scope(store, status_of):
    check = KeyCheck(store, required=True)
    read, admin = store.create("shop", ["read"]), store.create("ops", ["admin"])
    assert status_of(check, request()) == 401
    assert status_of(check, request(authorization="Bearer no")) == 401
    assert status_of(check, request(authorization=f"Bearer {read}")) == 200
    assert status_of(check, request(x_api_key=read)) == 200
    assert status_of(check, request("/v1/events", x_api_key=read)) == 403
    assert status_of(check, request("/v1/customers", "DELETE", x_api_key=read)) == 403
    assert status_of(check, request("/v1/customers", "DELETE", x_api_key=admin)) == 200
    assert status_of(check, request("/readyz", "GET")) == 200


def test_where_no_key_is_required_a_wrong_one_is_refused(store, status_of):
    check = KeyCheck(store, required=False)
    assert status_of(check, request()) == 200
    assert status_of(check, request(x_api_key="wrong")) == 401


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:3000", 200),
        ("127.0.0.1", 200),
        ("[::1]:3000", 200),
        ("evil.example", 400),
        ("127.0.0.1.evil.example:3000", 400),
        ("", 400),
    ],
)
def test_a_page_of_another_name_cannot_read_a_service_on_loopback(host, status, status_of):
    assert status_of(HostCheck(frozenset(LOOPBACK_HOSTS)), request(host=host)) == status
    assert status_of(HostCheck(frozenset("*")), request(host=host)) == 200


def test_units_come_back_with_time_and_large_bodies_cost_more(status_of):
    now = 0.0
    limit = RateLimit(10, clock=lambda: now)
    assert [status_of(limit, request()) for _ in range(21)] == [200] * 20 + [429]
    now = 0.1
    assert [status_of(limit, request()) for _ in range(2)] == [200, 429]
    now = 10.0
    assert status_of(limit, request(content_length=18_000)) == 200
    assert [status_of(limit, request()) for _ in range(2)] == [200, 429]
    assert status_of(limit, request("/livez")) == 200


def test_clients_have_units_of_their_own_and_keys_may_state_theirs(store, status_of):
    limit = RateLimit(1, share=0.5, clock=lambda: 0.0)
    assert [status_of(limit, request()) for _ in range(2)] == [200, 429]
    assert status_of(limit, request(client="5.6.7.8")) == 200
    key = store.find(store.create("shop", ["read"], rate=4))
    assert [status_of(limit, request() | {"state": {"key": key}}) for _ in range(5)] == [
        200
    ] * 4 + [429]


def test_a_refusal_says_when_to_ask_again():
    limit = RateLimit(0.1, clock=lambda: 0.0)
    limit(request())
    with pytest.raises(Refused) as refused:
        limit(request())
    assert int(refused.value.headers["retry-after"]) >= 10


def test_too_many_requests_are_refused_at_once_but_probes_are_not(status_of):
    limit = LoadLimit(2, 0.5, clock=lambda: 10.0)
    assert status_of(limit, request() | {ARRIVED: 9.8}) == 200
    assert status_of(limit, request() | {ARRIVED: 9.4}) == 503
    limit.running = 2
    assert status_of(limit, request()) == 503
    assert status_of(limit, request("/livez")) == 200


def test_refusals_have_the_common_shape(tmp_path, readers, client_of, error_of, store):
    policy = Policy(checks=(KeyCheck(store, required=True),))
    client = client_of(build_app(VersionHolder([tmp_path], readers, 60), policy=policy))
    response = client.post("/v1/churn", json={"customer_ids": ["1"]})
    error_of(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"
    key = store.create("shop", ["read"])
    headers = {"authorization": f"Bearer {key}"}
    response = client.request("DELETE", "/v1/customers?customer_id=1", headers=headers)
    assert "admin" in error_of(response, 403, "forbidden").message
    assert json.loads(response.content)["request_id"] == response.headers["x-request-id"]
    assert client.get("/livez").status_code == 200


def test_other_origins_may_read_answers_only_if_they_are_named(tmp_path, readers, client_of, store):
    headers = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    versions = VersionHolder([tmp_path], readers, 60)
    policy = Policy(checks=(KeyCheck(store, required=True),))
    closed = client_of(build_app(versions, policy=policy))
    assert "access-control-allow-origin" not in closed.get("/livez", headers=headers).headers
    opened = client_of(build_app(versions, policy=policy, cors_origins=["https://shop.example"]))
    preflight = opened.request("OPTIONS", "/v1/churn", headers=headers)
    assert preflight.status_code == 200
    answer = opened.post("/v1/churn", json={}, headers=headers)
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"

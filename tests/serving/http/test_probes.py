"""Liveness, readiness and metrics."""

import re
from datetime import datetime

import pytest

from serving.app import build_app
from serving.instance import DRAINING, FOLDER_VARIABLE
from serving.predictor import VersionHolder
from training.monitoring import checks
from training.monitoring.checks import Check, Monitoring


def count_of(text, name, **labels):
    """The value of a metric; 0 if it is not there."""
    inner = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    found = re.search(rf"^{re.escape(f'{name}{{{inner}}}' if inner else name)} (\S+)$", text, re.M)
    return float(found[1]) if found else 0.0


@pytest.fixture
def scraped(client):
    return lambda: client.get("/metrics").text


def test_it_is_ready_with_a_version_and_says_which(client):
    assert client.get("/livez").status_code == 200
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert ready.json() == {
        "ready": True,
        "version": "v1",
        "watching": True,
        "draining": False,
        "fault": None,
        "following": True,
        "events_fault": None,
        "events_position": 0,
    }


def test_it_is_not_ready_without_a_version_or_while_it_drains(
    tmp_path, readers, client_of, publish_by_hand, monkeypatch
):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    versions = VersionHolder([tmp_path / "home"], readers, 60)
    client = client_of(build_app(versions))
    assert client.get("/readyz").status_code == 503
    publish_by_hand(tmp_path / "home", "v1")
    versions.refresh()
    assert client.get("/readyz").status_code == 200
    (tmp_path / DRAINING).touch()
    assert client.get("/readyz").status_code == 503
    assert client.get("/livez").status_code == 200


def test_it_is_not_ready_once_nothing_watches_for_versions(
    tmp_path, readers, client_of, publish_by_hand
):
    publish_by_hand(tmp_path, "v1")
    versions = VersionHolder([tmp_path], readers, 60)
    versions.start()
    client = client_of(build_app(versions))
    assert client.get("/readyz").json()["watching"]
    versions.stop()
    assert client.get("/readyz").status_code == 503


def test_a_refused_version_is_shown(tmp_path, readers, client_of, publish_by_hand):
    publish_by_hand(tmp_path, "v1")
    versions = VersionHolder([tmp_path], readers, 60)
    versions.refresh()
    folder = publish_by_hand(tmp_path, "v2")
    (folder / "recommender" / "products.txt").write_text("?")
    versions.refresh()
    client = client_of(build_app(versions))
    assert "products.txt" in client.get("/readyz").json()["fault"]
    assert count_of(client.get("/metrics").text, "foresell_version_refused") == 1


def test_unknown_paths_are_one_time_series(client, scraped):
    before = scraped()
    for name in "abc":
        client.get(f"/{name}")
    after = scraped()
    labels = {"route": "unknown", "status": "404"}
    counted = [count_of(text, "foresell_requests_total", **labels) for text in (before, after)]
    assert counted[1] - counted[0] == 3
    assert not re.search(r'route="/[abc]"', after)


def test_requests_answers_and_errors_are_counted(client, scraped):
    before = scraped()
    client.post("/v1/recommend", json={"customer_ids": ["1", "2"]})
    client.post("/v1/recommend", json={})
    after = scraped()

    def more(name, **labels):
        return count_of(after, name, **labels) - count_of(before, name, **labels)

    assert more("foresell_requests_total", route="/v1/recommend", status="200") == 1
    assert more("foresell_requests_total", route="/v1/recommend", status="422") == 1
    assert more("foresell_request_seconds_count", route="/v1/recommend") == 2
    assert more("foresell_answers_total", task="recommender", basis="population") == 2
    assert more("foresell_errors_total", code="invalid_input") == 1


def test_the_served_version_and_its_age_are_metrics(scraped):
    text = scraped()
    assert count_of(text, "foresell_version_info", dataset="d", version="v1") == 1
    assert 0 <= count_of(text, "foresell_version_age_seconds") < 3600
    assert count_of(text, "foresell_model_as_of_timestamp_seconds", task="churn") > 1.5e9


def test_the_checks_of_the_nightly_job_are_metrics(scraped, tmp_path, client):
    home = tmp_path
    (home / "datasets" / "d").mkdir(parents=True)
    prices = Check("input", "prices", 2.0, 0.8, 1.25, ok=False, detail="2, usually .8 to 1.25")
    checks.write(home, "d", Monitoring(datetime(2024, 1, 1), [prices]))
    text = scraped()
    assert count_of(text, "foresell_monitoring_value", kind="input", check="prices") == 2
    assert count_of(text, "foresell_monitoring_ok", kind="input", check="prices") == 0

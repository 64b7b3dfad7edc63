"""Administrative endpoints, with jobs in processes of their own."""

import json
import subprocess
import sys

import pytest

from features.dataset import open_dataset
from features.ingest.sources import complete_journey
from serving.admin import jobs


@pytest.fixture
def environment(tmp_path, monkeypatch):
    monkeypatch.setenv("FORESELL_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FORESELL_MLRUNS", str(tmp_path / "runs"))


def test_a_customer_whom_nobody_knows_cannot_be_erased(client, environment, error_of):
    response = client.request("DELETE", "/v1/customers?customer_id=nobody")
    error = error_of(response, 404, "not_found", "customer_id")
    assert "nothing was changed" in error.message


def test_an_erased_customer_is_gone_from_the_dataset(client, home_of, monkeypatch):
    home = home_of(300)
    monkeypatch.setenv("FORESELL_HOME", str(home))
    orders = open_dataset(home, complete_journey.NAME).table("orders").collect().to_polars()
    customer = orders.get_column("customer_id").drop_nulls()[0]
    response = client.request("DELETE", f"/v1/customers?customer_id={customer}")
    assert response.status_code == 200
    (erased,) = response.json()["results"]
    assert erased["orders"] > 0
    again = client.request("DELETE", f"/v1/customers?customer_id={customer}")
    assert again.json()["results"][0]["again"]


def test_a_service_without_the_jobs_says_so(client, monkeypatch, error_of):
    monkeypatch.setattr(jobs, "MODULE", "foresell.none")
    response = client.post("/v1/admin/rollback", json={"model": "churn"})
    assert "foresell rollback" in error_of(response, 503, "unavailable").message


def test_a_job_that_crashes_is_unavailable_and_its_request_is_no_word_of_the_command(
    environment,
):
    command = [sys.executable, "-m", jobs.MODULE]
    request = json.dumps({"action": "forget", "customer_id": "secret-1"})
    done = subprocess.run(command, input=request, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["error"] == "NotFound"
    assert "secret" not in done.stdout

"""Example requests to a running service, one per model, and their responses on standard output."""

import json
import sys
import urllib.request
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from features.dataset import Dataset
from features.demand.grain import Grain
from foresell.progress import console
from training.published import versions as published


def example_requests(dataset: Dataset, version: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return a route and a body per published model.

    They are about the customer with the most records and the series with the highest forecast.

    Parameters
    ----------
    version
        Folder of the published version.
    """
    models = published.read(version).models
    requests: list[tuple[str, dict[str, Any]]] = []
    if "recommender" in models:
        requests.append(("recommend", {"customer_ids": [_top_customer(dataset)], "k": 3}))
    if "demand" in models:
        requests.append(("forecast", {"series": [_top_series(version / "demand")], "horizon": 14}))
    if "churn" in models:
        requests.append(("churn", {"customer_ids": [_top_customer(dataset)]}))
    if "next-purchase" in models:
        customers = [_top_customer(dataset), "nobody"]
        requests.append(("next_purchase", {"customer_ids": customers}))
    return requests


def _top_series(folder: Path) -> dict[str, str]:
    from training.models.demand.publish import load_about, scan_answers

    keys = Grain.parse(load_about(folder).grain).keys
    expected = scan_answers(folder).group_by(keys).agg(pl.col("mean").sum())
    best = expected.sort("mean", *keys, descending=[True, *(False for _ in keys)]).select(keys)
    return best.first().collect().row(0, named=True)


def _top_customer(dataset: Dataset) -> str:
    column = "customer_id"
    counts = dataset.table(dataset.records).drop_nulls(column).group_by(column).agg(nw.len())
    frame = counts.collect().sort("len", column, descending=[True, False])
    return str(frame.item(0, column))


def send(url: str, requests: list[tuple[str, dict[str, Any]]]) -> None:
    """Send each request; print it as a curl command, and the response."""
    for route, body in requests:
        request = urllib.request.Request(  # noqa: S310
            f"{url}/v1/{route}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            content = json.loads(response.read())
        console.print(f"[bold]POST /v1/{route}[/]", soft_wrap=True)
        sys.stdout.write(f"curl -s {url}/v1/{route} --json '{json.dumps(body)}'\n")
        sys.stdout.write(json.dumps(content, indent=1) + "\n")
    sys.stdout.flush()

"""Example requests to a running service, one per model, and their responses on standard output."""

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import narwhals as nw
import polars as pl

from features.dataset import Dataset, open_dataset
from features.demand.grain import Grain
from foresell.progress import console
from training.published import versions as published

# Seconds to wait for a response; while models are trained, the first ones are slow.
TIMEOUT_SECONDS = 10
UNAVAILABLE = 503

Body = dict[str, Any]


class Examples:
    """One request per model of a dataset, each sent once, as soon as the model is served.

    They are about the customer with the most records and the series with the highest forecast.
    """

    def __init__(self, home: Path, dataset: str) -> None:
        self.home, self.dataset = home, dataset
        self._sent: set[str] = set()

    def send_new(self, url: str) -> None:
        """Send the requests for models that were published since the last call."""
        folder, record = published.served(self.home, self.dataset) or (None, None)
        if folder is None or record is None:
            return
        for task, example in _EXAMPLES.items():
            if task in record.models and task not in self._sent:
                try:
                    route, body = example(folder / task, self)
                    sent = _send(url, route, body)
                except (FileNotFoundError, TimeoutError):
                    # The version was replaced by the next one, or the service is busy loading it.
                    return
                if not sent:
                    return
                self._sent.add(task)

    @cached_property
    def customer(self) -> str:
        """The customer with the most records."""
        dataset: Dataset = open_dataset(self.home, self.dataset)
        column = "customer_id"
        counts = dataset.table(dataset.records).drop_nulls(column).group_by(column).agg(nw.len())
        frame = counts.collect().sort("len", column, descending=[True, False])
        return str(frame.item(0, column))


def _forecast(folder: Path) -> tuple[str, Body]:
    """Ask for the series with the highest forecast."""
    from training.models.demand.publish import load_about, load_series, load_values

    keys = Grain.parse(load_about(folder).grain).keys
    best = int(load_values(folder)[..., 0].sum(axis=1).argmax())
    series = load_series(folder).select(keys).row(best, named=True)
    return "forecast", {"series": [series], "horizon": 14}


def _category(folder: Path, examples: Examples) -> tuple[str, Body]:
    """Ask for the category from which the customer is expected to buy next."""
    from training.customers.published import ANSWERS

    answers = pl.scan_parquet(folder / ANSWERS).filter(pl.col("customer_id") == examples.customer)
    soonest = answers.sort("p_within_7", "category", descending=[True, False])
    category = soonest.select("category").first().collect()
    body = {"customer_ids": [examples.customer], "category": category.item()}
    return "next_purchase", body


_EXAMPLES: dict[str, Callable[[Path, Examples], tuple[str, Body]]] = {
    "demand": lambda folder, _: _forecast(folder),
    "churn": lambda _, examples: ("churn", {"customer_ids": [examples.customer]}),
    "next-purchase": lambda _, examples: (
        "next_purchase",
        {"customer_ids": [examples.customer, "nobody"]},
    ),
    "next-category": _category,
    "value": lambda _, examples: ("value", {"customer_ids": [examples.customer]}),
    "recommender": lambda _, examples: ("recommend", {"customer_ids": [examples.customer], "k": 3}),
}


def _send(url: str, route: str, body: Body) -> bool:
    """Send a request; print it as a curl command, and the response.

    Returns
    -------
    bool
        False if the service has not loaded the model yet; nothing is printed then.
    """
    request = urllib.request.Request(  # noqa: S310
        f"{url}/v1/{route}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
            content = json.loads(response.read())
    except urllib.error.HTTPError as error:
        if error.code == UNAVAILABLE:
            return False
        content = json.loads(error.read())
    console.print(f"[bold]POST /v1/{route}[/]", soft_wrap=True)
    sys.stdout.write(f"curl -s {url}/v1/{route} --json '{json.dumps(body)}'\n")
    sys.stdout.write(json.dumps(content, indent=1) + "\n")
    sys.stdout.flush()
    return True

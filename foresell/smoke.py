"""Ask a running service about what sells and who buys, print the answers: the end of `make run`."""

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


def questions(dataset: Dataset, folder: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return one request a model, about the dataset's best customer and best-selling series.

    Parameters
    ----------
    folder
        That of the published version.
    """
    record = published.read(folder)
    asked: list[tuple[str, dict[str, Any]]] = []
    if "recommender" in record.models:
        asked.append(("recommend", {"customer_ids": [_most(dataset, "customer_id")], "k": 3}))
    if "demand" in record.models:
        series = [_best_series(folder / "demand")]
        asked.append(("forecast", {"series": series, "horizon": 14}))
    if "churn" in record.models:
        asked.append(("churn", {"customer_ids": [_most(dataset, "customer_id")]}))
    if "next-purchase" in record.models:
        asked.append(("next_purchase", {"customer_ids": [_most(dataset, "customer_id"), "nobody"]}))
    return asked


def _best_series(folder: Path) -> dict[str, str]:
    keys = Grain.parse(json.loads((folder / "about.json").read_text())["grain"]).keys
    expected = pl.scan_parquet(folder / "answers.parquet").group_by(keys).agg(pl.col("mean").sum())
    best = expected.sort("mean", *keys, descending=[True, *(False for _ in keys)]).select(keys)
    return best.first().collect().row(0, named=True)


def _most(dataset: Dataset, column: str) -> str:
    counts = dataset.table(dataset.records).drop_nulls(column).group_by(column).agg(nw.len())
    frame = counts.collect().sort("len", column, descending=[True, False])
    return str(frame.item(0, column))


def ask(url: str, asked: list[tuple[str, dict[str, Any]]]) -> None:
    """Print a curl line and the answer for each request."""
    for route, body in asked:
        request = urllib.request.Request(  # noqa: S310
            f"{url}/v1/{route}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            found = json.loads(answer.read())
        console.print(f"[bold]POST /v1/{route}[/]", soft_wrap=True)
        sys.stdout.write(f"curl -s {url}/v1/{route} --json '{json.dumps(body)}'\n")
        sys.stdout.write(json.dumps(found, indent=1) + "\n")
    sys.stdout.flush()

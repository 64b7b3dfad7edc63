"""Serving a million customers: memory, files and time of a request, on generated data.

Run: python benchmarks/recommender_scale.py [--customers 1000000] [--products 100000]

A small model is trained and published on generated shoppers; its files are then laid out for
as many customers and products as asked. Candidate arrays are sparse files: only what is asked
for is ever read, as in serving, where pages come from disk.
"""

import argparse
import json
import shutil
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import psutil
from results import record

from features.dataset import Dataset
from training.models.recommender.index.candidate_store import PublishedLists
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish

AS_OF = datetime(2024, 6, 3)
CANDIDATES = 300
ASKED = 1000


def shoppers(customers: int = 400, products: int = 1500, days: int = 150) -> Dataset:
    """Households that buy their own favourites again and again, and now and then another's."""
    rng = np.random.default_rng(0)
    favourites = rng.integers(0, products, (customers, 30))
    rows = []
    first = AS_OF - timedelta(days=days)
    for customer in range(customers):
        for day in range(int(rng.integers(0, 6)), days, int(rng.integers(3, 9))):
            kept = favourites[customer][rng.random(30) < 0.2]
            basket = {*kept.tolist(), int(rng.zipf(1.4)) % products}
            when = first + timedelta(days=day)
            rows += [(customer, f"{customer}/{day}", product, when) for product in basket]
    orders = pl.DataFrame(
        rows, ["customer_id", "order_id", "product_id", "ts"], orient="row"
    ).with_columns(
        pl.col("customer_id", "product_id").cast(pl.String),
        pl.col("ts").cast(pl.Datetime("us")),
        pl.int_range(pl.len(), dtype=pl.Int32).alias("line"),
        pl.lit("sale").alias("kind"),
        pl.lit(1.0).alias("quantity"),
    )
    return Dataset.from_frames("generated", {"orders": orders})


def widen(small: Path, large: Path, customers: int, products: int) -> None:
    """Lay a published version out for more customers and products."""
    shutil.copytree(small, large)
    rng = np.random.default_rng(1)
    pl.DataFrame(
        {
            "customer_id": [f"c{row:08d}" for row in range(customers)],
            "baskets": np.full(customers, 40, np.int32),
            "location_id": pl.Series([None] * customers, dtype=pl.String),
            "first": np.arange(customers) * CANDIDATES,
            "end": (np.arange(customers) + 1) * CANDIDATES,
        }
    ).write_parquet(large / "customers.parquet")
    catalogue = pl.read_parquet(small / "products.parquet")
    pick = rng.integers(0, catalogue.height, products)
    ids = pl.Series("product_id", [f"p{row:06d}" for row in range(products)])
    catalogue[pick].with_columns(ids).write_parquet(large / "products.parquet")
    for name in ("product_state", "hazard"):
        np.save(large / f"{name}.npy", np.load(small / f"{name}.npy")[pick])
    mine = np.load(small / "customer_state.npy")
    np.save(large / "customer_state.npy", mine[rng.integers(0, len(mine), customers)])
    with np.load(small / "places.npz") as places:
        width = places["codes"].shape[1]
    np.savez(
        large / "places.npz",
        ids=np.zeros(0, "U1"),
        codes=np.full((customers, width), -1, np.int32),
        weights=np.zeros((customers, width), np.float32),
    )
    about = json.loads((small / "plan" / "kinds.json").read_text())
    (large / "plan" / "kinds.json").write_text(json.dumps(about | {"products": products}))
    chosen = rng.choice(customers, ASKED, replace=False)
    for name in ("product", "source", "taste", "code", "state"):
        kept = np.load(small / f"{name}.npy")
        shape = (customers * CANDIDATES, *kept.shape[1:])
        array = np.lib.format.open_memmap(large / f"{name}.npy", "w+", kept.dtype, shape)
        for row in chosen:
            span = slice(row * CANDIDATES, (row + 1) * CANDIDATES)
            if name == "product":
                array[span] = np.sort(rng.choice(products, CANDIDATES, replace=False))
            else:
                array[span] = kept[rng.integers(0, len(kept), CANDIDATES)]
        array.flush()
    np.save(large / "chosen.npy", chosen)


def main() -> None:
    """Measure and record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--products", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        small.mkdir()
        dataset = shoppers()
        publish(RecommenderModel().fit(dataset, AS_OF), dataset, AS_OF, small)
        widen(small, large, arguments.customers, arguments.products)
        chosen = np.load(large / "chosen.npy")
        del dataset
        process = psutil.Process()
        before = process.memory_info().rss
        started = time.process_time()
        lists = PublishedLists.load(large)
        loading = time.process_time() - started
        loaded = process.memory_info().rss
        times = []
        for row in chosen:
            started = time.thread_time()
            lists.candidates(f"c{row:08d}", at=AS_OF + timedelta(days=2), kinds=("now",))
            times.append(time.thread_time() - started)
        after = process.memory_info().rss
        arrays = [large / f"{name}.npy" for name in ("product", "source", "taste", "code", "state")]
        on_disk = sum(path.stat().st_size for path in arrays)
        table = pl.DataFrame(
            [
                {
                    "customers": arguments.customers,
                    "products": arguments.products,
                    "candidates each": CANDIDATES,
                    "memory when loaded, MB": (loaded - before) / 2**20,
                    f"after {ASKED} customers, MB": (after - before) / 2**20,
                    "candidate files, GB": on_disk / 2**30,
                    "loading, CPU s": loading,
                    "request p50, CPU ms": float(np.quantile(times, 0.5) * 1e3),
                    "request p95, CPU ms": float(np.quantile(times, 0.95) * 1e3),
                }
            ]
        )
    record(
        "Recommendations: serving at scale, generated shoppers",
        table,
        command="python benchmarks/recommender_scale.py",
        packages=("lightgbm",),
        note="A request scores one customer's 300 candidates for a moment and one kind of list, "
        "in process on one core. Candidate files are mapped, not read: memory holds the pages of "
        "customers asked for lately, which the system takes back when it needs them.",
    )


if __name__ == "__main__":
    main()

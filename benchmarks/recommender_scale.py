"""Memory, file sizes and latency of serving a million customers, on generated data.

Trains and publishes a small model on generated shoppers, and enlarges the published files to the
given numbers of customers and products. Candidate arrays are sparse files: only the pages of
requested customers are read, as in serving.

Run: python benchmarks/recommender_scale.py [--customers 1000000] [--products 100000]
"""

import argparse
import shutil
import tempfile
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import psutil
from results import record

from features.dataset import Dataset
from training.models.recommender.index.candidate_scoring import score_candidates
from training.models.recommender.index.candidate_store import (
    CANDIDATE_ARRAYS,
    LOCATIONS,
    PRODUCTS,
    PROMOTION_PLAN,
    CandidateStore,
    load_locations,
    write_customers,
)
from training.models.recommender.inputs.promotions import PromotionPlan
from training.models.recommender.model import RecommenderModel
from training.models.recommender.publish import publish
from training.published import arrays

AS_OF = datetime(2024, 6, 3)
CANDIDATES = 300
REQUESTS = 1000


def shoppers(customers: int = 400, products: int = 1500, days: int = 150) -> Dataset:
    """Generate households that buy their favourites repeatedly, and sometimes popular products."""
    rng = np.random.default_rng(0)
    favourites = rng.integers(0, products, (customers, 30))
    rows = []
    first = AS_OF - timedelta(days=days)
    for customer in range(customers):
        for day in range(int(rng.integers(0, 6)), days, int(rng.integers(3, 9))):
            repeated = favourites[customer][rng.random(30) < 0.2]
            basket = {*repeated.tolist(), int(rng.zipf(1.4)) % products}
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


def enlarge(small: Path, large: Path, customers: int, products: int) -> list[str]:
    """Enlarge a published folder; return the ids of customers whose candidates are written."""
    shutil.copytree(small, large)
    rng = np.random.default_rng(1)
    ids = [f"c{row:08d}" for row in range(customers)]
    frame = pl.DataFrame(
        {
            "customer_id": ids,
            "baskets": np.full(customers, 40, np.int32),
            "location_id": pl.Series([None] * customers, dtype=pl.String),
            "first": np.arange(customers) * CANDIDATES,
            "end": (np.arange(customers) + 1) * CANDIDATES,
        }
    )
    write_customers(large, frame)
    catalogue = pl.read_parquet(small / PRODUCTS)
    pick = rng.integers(0, catalogue.height, products)
    product_ids = pl.Series("product_id", [f"p{row:06d}" for row in range(products)])
    catalogue[pick].with_columns(product_ids).write_parquet(large / PRODUCTS)
    for name in ("product_state", "hazards"):
        arrays.write(large, {name: arrays.read(small, name)[pick]})
    state = arrays.read(small, "customer_state")
    arrays.write(large, {"customer_state": state[rng.integers(0, len(state), customers)]})
    width = load_locations(small)["codes"].shape[1]
    np.savez(
        large / LOCATIONS,
        ids=np.zeros(0, "U1"),
        codes=np.full((customers, width), -1, np.int32),
        weights=np.zeros((customers, width), np.float32),
    )
    plan = PromotionPlan.load(small / PROMOTION_PLAN)
    replace(plan, products=products).save(large / PROMOTION_PLAN)
    chosen = rng.choice(customers, REQUESTS, replace=False)
    for name in CANDIDATE_ARRAYS:
        values = arrays.read(small, name)
        shape = (customers * CANDIDATES, *values.shape[1:])
        path = arrays.path_of(large, name)
        array = np.lib.format.open_memmap(path, "w+", values.dtype, shape)
        for row in chosen:
            span = slice(row * CANDIDATES, (row + 1) * CANDIDATES)
            if name == "product":
                array[span] = np.sort(rng.choice(products, CANDIDATES, replace=False))
            else:
                array[span] = values[rng.integers(0, len(values), CANDIDATES)]
        array.flush()
    return [ids[row] for row in chosen]


def main() -> None:
    """Measure one size; print and record the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--products", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        small.mkdir()
        dataset = shoppers()
        publish(RecommenderModel().fit(dataset, AS_OF), dataset, AS_OF, small)
        requested = enlarge(small, large, arguments.customers, arguments.products)
        del dataset
        process = psutil.Process()
        before = process.memory_info().rss
        started = time.process_time()
        store = CandidateStore.load(large)
        loading = time.process_time() - started
        loaded = process.memory_info().rss
        times = []
        for customer in requested:
            started = time.thread_time()
            score_candidates(store, [customer], at=AS_OF + timedelta(days=2), lists=("now",))
            times.append(time.thread_time() - started)
        after = process.memory_info().rss
        files = [arrays.path_of(large, name) for name in CANDIDATE_ARRAYS]
        on_disk = sum(path.stat().st_size for path in files)
        table = pl.DataFrame(
            [
                {
                    "customers": arguments.customers,
                    "products": arguments.products,
                    "candidates each": CANDIDATES,
                    "memory when loaded, MB": (loaded - before) / 2**20,
                    f"after {REQUESTS} customers, MB": (after - before) / 2**20,
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
        packages=("scikit-learn",),
        note="A request scores one customer's 300 candidates in one context for one list, in "
        "process on one core. Candidate files are memory-mapped: memory holds the pages of "
        "recently requested customers, which the system can reclaim.",
    )


if __name__ == "__main__":
    main()

"""Churn log loss by number of customers, with and without trees in the timing model.

Random samples of the bundled households stand for small shops. The timing model with trees, the one
without trees (BG/NBD and MBG/NBD, averaged) and BG/NBD are fitted to each at rolling origins.
`TimingOptions.min_examples` is the smallest size at which trees are not worse.

Run: python benchmarks/customers_size.py
"""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
from results import record

from features.calendar import to_day
from features.dataset import Dataset
from foresell.jobs import dataset_of
from foresell.settings import Settings
from training import metrics
from training.customers.cutoffs import customer_features, follow_up
from training.customers.timing_training import TimingOptions, fit_purchase_timing
from training.estimators.bg_nbd import BgNbd, purchase_history

SIZES = (25, 50, 100, 200, 400, 800, 1600)
# Results of small shops are noisy: each size is measured on as many samples, if there are enough
# households.
SHOPS = 6
ORIGINS = 2
HORIZON_DAYS = 28
# More examples than any shop has.
UNREACHABLE = 10**9


def main() -> None:
    """Print and record log loss by number of customers."""
    dataset = dataset_of(Settings())
    origins = [dataset.end - timedelta(days=HORIZON_DAYS * k) for k in range(1, ORIGINS + 1)]
    ids = np.sort(customer_features(dataset, origins[0]).get_column("customer_id").to_numpy())
    orders = dataset.table("orders").collect().to_polars()
    rows = []
    for size in SIZES:
        losses: list[dict[str, float]] = []
        for seed in range(max(1, min(SHOPS, len(ids) // size))):
            sample = np.random.default_rng(seed).permutation(ids)[:size].tolist()
            part = orders.filter(pl.col("customer_id").is_in(sample))
            shop = Dataset.from_frames(f"{size} customers", {"orders": part})
            losses += [evaluate(shop, origin) for origin in origins]
        means = {name: float(np.mean([loss[name] for loss in losses])) for name in losses[0]}
        gain = np.array([loss["without trees"] - loss["with trees"] for loss in losses])
        error = float(gain.std() / np.sqrt(len(gain)))
        rows.append(
            {"customers": size, **means}
            | {"gain of trees": float(gain.mean()), "standard error": error}
        )
    record(
        "Customers: churn by number of customers",
        pl.DataFrame(rows),
        command="python benchmarks/customers_size.py",
        packages=("lightgbm",),
        note=f"Log loss of churn on active customers, {HORIZON_DAYS} days, up to {SHOPS} random "
        f"shops of each size at {ORIGINS} origins.",
    )


def evaluate(shop: Dataset, origin: datetime) -> dict[str, float]:
    """Fit at one origin; return log loss by method."""
    cutoff = follow_up(shop, shop.end, to_day(origin), HORIZON_DAYS)
    features, churned = cutoff.features, cutoff.churned(HORIZON_DAYS)
    active = (features.get_column("recency") <= 2 * HORIZON_DAYS).to_numpy()
    history = purchase_history(features)
    probabilities = {"BG/NBD": BgNbd.fit(*history).inactivity(*history, HORIZON_DAYS)}
    for name, minimum in (("without trees", UNREACHABLE), ("with trees", 0)):
        options = TimingOptions(min_examples=minimum, min_per_class=min(minimum, 1))
        model = fit_purchase_timing(shop, origin, options, horizon_days=HORIZON_DAYS)
        probabilities[name] = model.survival(features)
    return {
        name: metrics.log_loss(churned[active], probability[active])
        for name, probability in probabilities.items()
    }


if __name__ == "__main__":
    main()

"""Churn log loss by number of customers, with and without trees in the inactivity model.

Random samples of the bundled households stand for small shops. The inactivity model with trees, the
one without trees (MBG/NBD alone) and BG/NBD are fitted to each at rolling origins.
`InactivityOptions.min_examples` is the smallest size at which trees are not worse.

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
from training.customers.inactivity import InactivityOptions, fit_inactivity
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
        examples: list[int] = []
        for seed in range(max(1, min(SHOPS, len(ids) // size))):
            sample = np.random.default_rng(seed).permutation(ids)[:size].tolist()
            part = orders.filter(pl.col("customer_id").is_in(sample))
            shop = Dataset.from_frames(f"{size} customers", {"orders": part})
            for origin in origins:
                by_method, count = evaluate(shop, origin)
                losses.append(by_method)
                examples.append(count)
        means = {name: float(np.mean([loss[name] for loss in losses])) for name in losses[0]}
        gain = np.array([loss["without trees"] - loss["with trees"] for loss in losses])
        error = float(gain.std() / np.sqrt(len(gain)))
        rows.append(
            {"customers": size, "examples": int(np.mean(examples)), **means}
            | {"gain of trees": float(gain.mean()), "standard error": error}
        )
    record(
        "Customers: churn by number of customers",
        pl.DataFrame(rows),
        command="python benchmarks/customers_size.py",
        packages=("lightgbm",),
        note=f"Log loss of churn on active customers, {HORIZON_DAYS} days, up to {SHOPS} random "
        f"shops of each size at {ORIGINS} origins. Examples are customers at cutoffs.",
    )


def evaluate(shop: Dataset, origin: datetime) -> tuple[dict[str, float], int]:
    """Fit at one origin; return log loss by method, and the number of examples."""
    cutoff = follow_up(shop, shop.end, to_day(origin), HORIZON_DAYS)
    features, churned = cutoff.features, cutoff.churned(HORIZON_DAYS)
    active = (features.get_column("recency") <= 2 * HORIZON_DAYS).to_numpy()
    history = purchase_history(features)
    probabilities = {"BG/NBD": BgNbd.fit(*history).inactivity(*history, HORIZON_DAYS)}
    examples = 0
    for name, minimum in (("without trees", UNREACHABLE), ("with trees", 0)):
        options = InactivityOptions(min_examples=minimum, min_per_class=min(minimum, 1))
        model, cutoffs = fit_inactivity(shop, origin, HORIZON_DAYS, options)
        probabilities[name] = model.probability(features)
        examples = sum(cutoff.features.height for cutoff in cutoffs)
    losses = {
        name: metrics.log_loss(churned[active], probability[active])
        for name, probability in probabilities.items()
    }
    return losses, examples


if __name__ == "__main__":
    main()

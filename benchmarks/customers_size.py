"""From how many customers on trees are worth growing: churn by the size of a shop.

Random parts of the bundled households are taken for whole shops. The churn ensemble with trees,
the same without (logit and MBG/NBD), and BG/NBD are fitted to each at rolling origins; the smallest
shop from which on trees are not worse is where `EnsembleOptions.min_examples` belongs.

Run: python benchmarks/customers_size.py
"""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl
from results import record

from features.calendar import to_day
from features.dataset import Dataset
from foresell.jobs import dataset_of
from foresell.settings import Settings
from training import metrics
from training.customers.cutoffs import customer_features
from training.estimators.bg_nbd import BgNbd, purchase_history
from training.models.churn.ensemble import EnsembleOptions
from training.models.churn.ensemble_training import examples_at, train_ensemble
from training.models.churn.model import ChurnModel

SIZES = (25, 50, 100, 200, 400, 800, 1600)
# Small shops are noisy: so many of each size, as far as the households go.
SHOPS = 6
ORIGINS = 2
HORIZON_DAYS = 28
NEVER = 10**9


def main() -> None:
    """Print and record log loss by number of customers."""
    dataset = dataset_of(Settings())
    ends = [dataset.end - timedelta(days=HORIZON_DAYS * k) for k in range(1, ORIGINS + 1)]
    ids = np.sort(customer_features(dataset, ends[0]).get_column("customer_id").to_numpy())
    orders = dataset.table("orders").collect().to_polars()
    rows = []
    for size in SIZES:
        found: dict[str, list[float]] = {}
        examples: list[int] = []
        for number in range(max(1, min(SHOPS, len(ids) // size))):
            chosen = np.random.default_rng(number).permutation(ids)[:size].tolist()
            part = orders.filter(pl.col("customer_id").is_in(chosen))
            shop = Dataset.from_frames(f"{size} customers", {"orders": part})
            examples += [_judge(shop, end, found) for end in ends]
        table = {name: float(np.mean(losses)) for name, losses in found.items()}
        gain = np.array(found["without trees"]) - np.array(found["with trees"])
        error = float(gain.std() / np.sqrt(len(gain)))
        rows.append(
            {"customers": size, "examples": int(np.mean(examples)), **table}
            | {"gain of trees": float(gain.mean()), "standard error": error}
        )
    record(
        "customers: from how many on trees are worth growing",
        pl.DataFrame(rows),
        command="python benchmarks/customers_size.py",
        packages=("lightgbm",),
        note=f"Log loss of churn on active customers, {HORIZON_DAYS} days, up to {SHOPS} random "
        f"shops of each size at {ORIGINS} origins. Examples are customers at cutoffs.",
    )


def _judge(shop: Dataset, end: datetime, found: dict[str, list[float]]) -> int:
    """Fit at one origin, add each method's log loss; return the number of examples."""
    model = ChurnModel(horizon_days=HORIZON_DAYS)
    features, label = examples_at(shop, shop.end, to_day(end), HORIZON_DAYS)
    active = (features.get_column("recency") <= 2 * HORIZON_DAYS).to_numpy()
    process = BgNbd.fit(*purchase_history(features))
    probabilities = {"BG/NBD": process.inactivity(*purchase_history(features), HORIZON_DAYS)}
    count = 0
    for name, fewest in (("without trees", NEVER), ("with trees", 0)):
        options = replace(EnsembleOptions(), min_examples=fewest, min_per_class=min(fewest, 1))
        ensemble, cutoffs = train_ensemble(
            shop,
            end,
            HORIZON_DAYS,
            options,
            cutoffs=model.cutoffs,
            step_days=model.cutoff_step_days,
        )
        probabilities[name] = ensemble.probability(features)
        count = sum(cutoff.features.height for cutoff in cutoffs)
    for name, probability in probabilities.items():
        found.setdefault(name, []).append(metrics.log_loss(label[active], probability[active]))
    return count


if __name__ == "__main__":
    main()

"""What diversity costs: the same customers' lists at several settings, laid beside what came.

A shelf and the records after its instant in; one row a setting out. The benchmark and the
notebook show it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from features.dataset import Dataset
from serving.recommender.query import ListQuery
from serving.recommender.request import ListRequest
from serving.recommender.rerank import Layout, arrange
from training.models.recommender.beyond_accuracy import list_metrics
from training.models.recommender.hits import customer_metrics, list_hits
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.inputs.interactions import interactions_at

SETTINGS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
PLACES = 10


def diversity_tradeoff(
    shelf: RecommenderIndex, dataset: Dataset, settings: Sequence[float] = SETTINGS
) -> pl.DataFrame:
    """Measure lists of ten, as they are served, at each setting of diversity.

    Returns
    -------
    polars.DataFrame
        diversity; NDCG@10 and recall@10 of the next basket, precision@10 of the horizon; distance
        within a list, coverage, share of the long tail, novelty in bits; popularity and price
        of what is shown over what the customer buys, less one (NaN without prices).
    """
    as_of = shelf.ranked.as_of
    known = interactions_at(dataset, as_of)
    options = {"horizon_days": shelf.ranked.about["horizon_days"]}
    rows = []
    for diversity, frame in _lists(shelf, settings):
        laid = list_hits(dataset, as_of, options, frame)
        top = np.where(laid.shown[:, :PLACES] < known.shape[1], laid.shown[:, :PLACES], -1)
        accuracy = customer_metrics(dataset, as_of, options, frame)
        beyond = list_metrics(dataset, known, laid.rows, top)
        means = {name: float(np.nanmean(values)) for name, values in beyond.items()}
        rows.append(
            {
                "diversity": diversity,
                "NDCG@10": float(np.nanmean(accuracy["ndcg_10"])),
                "recall@10": float(np.nanmean(accuracy["recall_10"])),
                "horizon precision@10": float(np.nanmean(accuracy["window_precision_10"])),
                "distance within a list": means.get("diversity_10", np.nan),
                "coverage": len(np.unique(top[top >= 0])) / known.shape[1],
                "long tail": means["long_tail_10"],
                "novelty, bits": means["novelty_10"],
                "popularity lift": means["popularity_lift_10"],
                "price gap": means.get("price_gap_10", np.nan),
            }
        )
    return pl.DataFrame(rows)


def _lists(
    shelf: RecommenderIndex, settings: Sequence[float]
) -> Iterator[tuple[float, pl.DataFrame]]:
    """Lay every customer's candidates, which are ranked once, out at each setting."""
    request = ListRequest(shelf, ListQuery(k=PLACES))
    pools = {customer: request.pool(customer) for customer in shelf.customer_ids}
    schema = {"customer_id": pl.String, "rank": pl.Int32, "product_id": pl.String}
    for diversity in settings:
        layout = Layout(PLACES, diversity)
        rows = []
        for customer, pool in pools.items():
            chosen = arrange(pool.codes, pool.scores, request.allowed, shelf.catalogue, layout)
            shown = [shelf.catalogue.ids[int(pool.codes[at])] for at in chosen]
            rows += [(customer, rank, product) for rank, product in enumerate(shown, 1)]
        yield diversity, pl.DataFrame(rows, schema, orient="row")

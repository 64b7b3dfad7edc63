"""Trade-off between the accuracy and the diversity of lists.

An index and the records after its instant in; one row of metrics per diversity setting out.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from features.dataset import Dataset
from serving.recommender.query import ListQuery
from serving.recommender.request import ListRequest
from serving.recommender.rerank import Slate, rerank
from training.models.recommender.beyond_accuracy import list_metrics
from training.models.recommender.hits import customer_metrics, list_hits
from training.models.recommender.index.index import RecommenderIndex
from training.models.recommender.inputs.interactions import interactions_at

SETTINGS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
LENGTH = 10


def diversity_tradeoff(
    index: RecommenderIndex, dataset: Dataset, settings: Sequence[float] = SETTINGS
) -> pl.DataFrame:
    """Evaluate lists of ten products, as served, at each setting.

    Returns
    -------
    polars.DataFrame
        diversity; NDCG@10 and recall@10 of the next basket, precision@10 of the horizon; mean
        distance within a list, coverage, share of the long tail, novelty in bits; popularity and
        price of the listed products relative to those the customer buys, minus one (NaN without
        prices).
    """
    as_of = index.candidates.as_of
    known = interactions_at(dataset, as_of)
    options = {"horizon_days": index.candidates.about.horizon_days}
    rows = []
    for diversity, frame in _lists(index, settings):
        hits = list_hits(dataset, as_of, options, frame)
        top = np.where(hits.shown[:, :LENGTH] < known.shape[1], hits.shown[:, :LENGTH], -1)
        accuracy = customer_metrics(dataset, as_of, options, frame)
        beyond = list_metrics(dataset, known, hits.rows, top)
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
    index: RecommenderIndex, settings: Sequence[float]
) -> Iterator[tuple[float, pl.DataFrame]]:
    """Yield the lists of all customers at each setting; candidates are scored once."""
    request = ListRequest(index, ListQuery(k=LENGTH))
    candidates = {customer: request.candidates(customer) for customer in index.customer_ids}
    schema = {"customer_id": pl.String, "rank": pl.Int32, "product_id": pl.String}
    ids = index.catalogue.ids
    for diversity in settings:
        slate = Slate(LENGTH, diversity)
        rows = []
        for customer, products in candidates.items():
            chosen = rerank(
                products.codes, products.scores, request.allowed, index.catalogue, slate
            )
            shown = [ids[int(products.codes[i])] for i in chosen]
            rows += [(customer, rank, product) for rank, product in enumerate(shown, 1)]
        yield diversity, pl.DataFrame(rows, schema, orient="row")

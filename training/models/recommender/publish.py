"""Publish a recommender: score the candidates of all customers and build the index.

A fitted model and a dataset in; the folder that `RecommenderIndex` loads out.
"""

from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl

from features.dataset import Dataset
from features.typing import Bools, Float32s, Floats
from training.models.recommender.index.candidate_store import About, CandidateWriter
from training.models.recommender.index.index import build_index
from training.models.recommender.index.likely_buyers import LIKELY_PURCHASES, top_buyers
from training.models.recommender.model import RecommenderModel
from training.models.recommender.ranking.attribution import reason_group
from training.models.recommender.ranking.context_features import (
    CUSTOMER_STATE,
    INTERACTION_STATE,
    PRODUCT_STATE,
)
from training.models.recommender.ranking.encoding import Codes
from training.models.recommender.ranking.features import Block, Ranking
from training.models.recommender.ranking.ranker import Ranker

# Least probability of a purchase within the horizon of a likely buyer.
LEAST_PROBABILITY = 0.002
# With more likely purchases in memory, those that no product keeps are dropped.
PURCHASES_AT_ONCE = 5_000_000


def publish(model: RecommenderModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write the candidates of all customers with encoded features, and the index of products."""
    ranking, ranker = model.ranking(dataset, as_of), model.ranker_
    draft = Draft(folder, ranking, ranker)
    for block in ranking.blocks(np.arange(ranking.interactions.shape[0])):
        draft.add(block, model.codes(ranking, block))
    draft.finish(dataset, as_of, model.horizon_days, model.list_length)
    build_index(dataset, as_of, folder, draft.likely_purchases())


class Draft:
    """A published folder in the making: add blocks of customers, then finish it.

    Candidates are written block by block, so that not all of them are in memory at once.
    """

    def __init__(self, folder: Path, ranking: Ranking, ranker: Ranker) -> None:
        self.ranking, self.ranker = ranking, ranker
        self.writer = CandidateWriter(folder)
        self.lengths = np.zeros(ranking.interactions.shape[0], np.int64)
        self.interaction_state: list[str] = []
        self._purchases = [pl.DataFrame(schema=LIKELY_PURCHASES)]
        self._most_purchases = PURCHASES_AT_ONCE

    def add(self, block: Block, codes: Codes) -> None:
        """Write a block of candidates with their encoded features."""
        state = self.ranking.state(block.rows, block.cols)
        lists, raw = self.ranker.lists, self.ranker.scores(codes)
        scores = [self.ranker.probability(name, raw, state["customer_size"]) for name in lists]
        others = {*CUSTOMER_STATE, *PRODUCT_STATE}
        self.interaction_state = [
            name
            for name in state
            if name in INTERACTION_STATE or (name not in others and name.startswith("pair_"))
        ]
        self.writer.append(
            {
                "product": block.cols,
                "generator": self.ranking.best_generators(block),
                "scores": np.column_stack([np.zeros((len(codes), 0)), *scores]),
                "static_codes": codes[:, : len(self.ranker.static.columns)],
                "interaction_state": np.column_stack(
                    [state[name] for name in self.interaction_state]
                ),
            }
        )
        month = self.ranker.probability("month", raw, state["customer_size"])
        self._add_purchases(block, month, ~np.isnan(state["baskets"]))
        customers, counts = np.unique(block.rows, return_counts=True)
        self.lengths[customers] += counts

    def _add_purchases(self, block: Block, month: Floats, bought_before: Bools) -> None:
        likely = month >= LEAST_PROBABILITY
        columns = (block.rows, block.cols, month, bought_before)
        rows = {
            name: values[likely] for name, values in zip(LIKELY_PURCHASES, columns, strict=True)
        }
        self._purchases.append(pl.DataFrame(rows, LIKELY_PURCHASES))
        if sum(frame.height for frame in self._purchases) > self._most_purchases:
            kept = top_buyers(pl.concat(self._purchases), "product")
            self._purchases = [kept]
            # Twice the kept rows, so that fewer and fewer blocks trigger a selection.
            self._most_purchases = max(PURCHASES_AT_ONCE, 2 * kept.height)

    def finish(
        self, dataset: Dataset, as_of: datetime, horizon_days: int, list_length: int
    ) -> None:
        """Write everything but candidates."""
        ranking, ranker = self.ranking, self.ranker
        self.writer.close(
            {
                "scores": len(ranker.lists),
                "static_codes": len(ranker.static.columns),
                "interaction_state": len(self.interaction_state),
            }
        )
        reasons = {generator.name: generator.reason for generator in ranking.generators}
        none = np.zeros(0, np.int64)
        names = list(ranking.state(none, none))
        customer_state = tuple(name for name in names if name.startswith("customer_"))
        product_state = tuple(name for name in names if name.startswith("product_"))
        about = About(
            as_of=as_of.isoformat(),
            horizon_days=horizon_days,
            list_length=list_length,
            lists=ranker.lists,
            reasons=tuple(generator.reason for generator in ranking.generators),
            groups=tuple(reason_group(name, reasons) for name in ranker.columns),
            interaction_state=tuple(self.interaction_state),
            customer_state=customer_state,
            product_state=product_state,
        )
        locations = ranking.locations
        self.writer.write(
            about,
            self._customers(),
            self._products(dataset),
            {"ids": locations.ids, "codes": locations.codes, "weights": locations.weights},
            {
                "customer_state": _columns([ranking.customer_features[c] for c in customer_state]),
                "product_state": _columns([self._product_feature(c) for c in product_state]),
                "hazards": ranking.hazards.hazard,
            },
        )
        self.writer.write_ranker(ranking.plan, self.ranker)

    def likely_purchases(self) -> pl.DataFrame:
        """Return likely purchases of all customers, with the columns of `LIKELY_PURCHASES`."""
        return pl.concat(self._purchases)

    def _customers(self) -> pl.DataFrame:
        interactions, locations = self.ranking.interactions, self.ranking.locations
        usual = [str(locations.ids[code]) if code >= 0 else None for code in locations.codes[:, 0]]
        ends = np.cumsum(self.lengths)
        return pl.DataFrame(
            {
                "customer_id": pl.Series(interactions.customers.astype(object), dtype=pl.String),
                "baskets": interactions.customer_features["customer_baskets"].astype(np.int32),
                "location_id": pl.Series(usual, dtype=pl.String),
                "first": ends - self.lengths,
                "end": ends,
            }
        )

    def _products(self, dataset: Dataset) -> pl.DataFrame:
        interactions = self.ranking.interactions
        groups = [group.group_of_product for group in self.ranking.groups.values()]
        groups += [np.zeros(interactions.shape[1], np.int64)] * (2 - len(groups))
        frame = pl.DataFrame(
            {
                "product_id": pl.Series(interactions.products.astype(object), dtype=pl.String),
                "popularity": interactions.sum_by_product("baskets_28d"),
                "price": self._product_feature("product_price"),
                "first_days": interactions.product_features["first_days"],
                "finest_group": groups[0],
                "next_group": groups[1],
            }
        )
        if "products" not in dataset.tables:
            return frame
        listed = dataset.table("products").collect().to_polars()
        listed = listed.unique("product_id", keep="first", maintain_order=True)
        added = ["product_id", *(name for name in listed.columns if name not in frame.columns)]
        return frame.join(listed.select(added), on="product_id", how="left", maintain_order="left")

    def _product_feature(self, name: str) -> Float32s:
        missing = np.full(self.ranking.interactions.shape[1], np.nan, np.float32)
        return self.ranking.product_features.get(name, missing)


def _columns(values: list[Float32s]) -> Float32s:
    return np.column_stack(values).astype(np.float32)

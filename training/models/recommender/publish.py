"""Writes what a published recommender holds, block of customers by block.

A ranking and a fitted ranker in, the files of `published_lists` out.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from features.dataset import Dataset
from training.estimators.boosting import matrix
from training.models.recommender.index.candidate_store import MOTIVE_STEP
from training.models.recommender.index.erase import CUSTOMERS, OF_CANDIDATES
from training.models.recommender.index.index import stock
from training.models.recommender.index.likely_buyers import first_of_each
from training.models.recommender.model import RecommenderModel
from training.models.recommender.ranking.attribution import (
    EXPLAINED_GROUPS,
    GroupAttribution,
    reason_group,
)
from training.models.recommender.ranking.context_features import (
    CUSTOMER_STATE,
    INTERACTION_STATE,
    PRODUCT_STATE,
)
from training.models.recommender.ranking.extrapolation import EXTRAPOLATED_FEATURE
from training.models.recommender.ranking.features import Block, Ranking
from training.models.recommender.ranking.ranker import Ranker, StaticScores

# So many candidates of each customer and learner are explained.
EXPLAINED = 30
# A chance below this to be bought within the horizon makes nobody a likely buyer.
LEAST_CHANCE = 0.002
# With more likely buyers in memory than this, those that no product keeps are dropped.
BUYERS_AT_ONCE = 5_000_000


def publish(model: RecommenderModel, dataset: Dataset, as_of: datetime, folder: Path) -> None:
    """Write every customer's candidates with static scores, and the index of lists beside them."""
    ranking = model.ranking(dataset, as_of)
    draft = Draft(folder, ranking, model.ranker_)
    for block in ranking.blocks(np.arange(ranking.interactions.shape[0])):
        features = ranking.static_features(block)
        taste = model.ranker_.score_static(features)
        needed = model.ranker_.blend.learners_for(("month",))
        raw = model.ranker_.log_odds(taste, ranking.context_features(block), needed)
        draft.add(block, taste, features, model.probability(ranking, block, "month", raw))
    draft.finish(dataset, as_of, model.horizon_days, model.list_length)
    stock(dataset, as_of, folder, draft.likeliest())


class Draft:
    """A published version in the making: blocks of candidates are added, then it is finished.

    Arrays grow on disk block by block, so that publishing never holds all candidates.
    """

    def __init__(self, folder: Path, ranking: Ranking, ranker: Ranker) -> None:
        self.folder, self.ranking, self.ranker = folder, ranking, ranker
        self.lengths = np.zeros(ranking.interactions.shape[0], np.int64)
        self.written = self.explained = 0
        self.buyers: list[pl.DataFrame] = []
        self.most_buyers = BUYERS_AT_ONCE
        self.parts = {name: (folder / f".{name}").open("wb") for name in OF_CANDIDATES}
        self.pair: list[str] = []
        reasons = {source.name: source.reason for source in ranking.generators}
        self.movers = {
            name: GroupAttribution.from_booster(one, reasons) for name, one in ranker.static.items()
        }
        self.motives = [reason_group(name, reasons) for name in ranker.neural.columns]

    def add(
        self,
        block: Block,
        taste: StaticScores,
        features: pl.DataFrame,
        month: NDArray[np.float64],
    ) -> None:
        """Write a block's candidates.

        Parameters
        ----------
        taste, features
            What does not depend on the moment, and the features that it rests on.
        month
            Chance to be bought within the horizon.
        """
        ranking = self.ranking
        state = ranking.state(block.rows, block.cols)
        fixed = {*CUSTOMER_STATE, *PRODUCT_STATE}
        self.pair = [
            name
            for name in state
            if name in INTERACTION_STATE or (name not in fixed and name.startswith("pair_"))
        ]
        of_pair = np.column_stack([state[name] for name in self.pair])
        odds = np.array([taste.log_odds[learner] for learner in self.ranker.learners]).T
        self.parts["product"].write(block.cols.astype(np.int32).tobytes())
        self.parts["source"].write(ranking.best_generators(block).tobytes())
        self.parts["taste"].write(odds.astype(np.float64).tobytes())
        self.parts["code"].write(taste.codes.tobytes())
        self.parts["state"].write(of_pair.astype(np.float32).tobytes())
        own = ~np.isnan(state["baskets"])
        self._explain(block, taste.log_odds, features)
        likely = month >= LEAST_CHANCE
        kept = {"row": block.rows, "col": block.cols, "month": month, "again": own}
        self.buyers.append(pl.DataFrame({name: of[likely] for name, of in kept.items()}))
        if sum(one.height for one in self.buyers) > self.most_buyers:
            first = first_of_each(pl.concat(self.buyers), "col")
            self.buyers = [first]
            # Twice what is kept, so that ever fewer blocks pay for it.
            self.most_buyers = max(BUYERS_AT_ONCE, 2 * first.height)
        customers, counts = np.unique(block.rows, return_counts=True)
        self.lengths[customers] += counts
        self.written += len(block.rows)

    def _explain(
        self,
        block: Block,
        taste: Mapping[str, NDArray[np.float64]],
        features: pl.DataFrame,
    ) -> None:
        """Write how far motives moved each customer's best candidates of each learner."""
        likely = np.zeros(len(block.rows), bool)
        for odds in taste.values():
            # What a learner was not asked about comes last.
            order = np.lexsort((-odds, block.rows))
            place = np.arange(len(order)) - np.searchsorted(block.rows, block.rows)
            first = order[place < EXPLAINED]
            likely[first[~np.isnan(odds[first])]] = True
        kept = features.filter(pl.Series(likely))
        popular = EXPLAINED_GROUPS.index(reason_group(EXTRAPOLATED_FEATURE, {}))
        moved = []
        for learner, mover in self.movers.items():
            # A kind of promotion that nobody met is zero.
            absent = [name for name in mover.columns if name not in kept.columns]
            asked = ~np.isnan(taste[learner][likely])
            rows = kept.filter(pl.Series(asked)).with_columns(
                pl.lit(0.0).alias(name) for name in absent
            )
            threads = self.ranker.static[learner].threads
            parts = np.zeros((len(asked), len(EXPLAINED_GROUPS)), np.float32)
            by_group = mover.by_group(matrix(rows, mover.columns, {}), threads)
            parts[asked] = by_group[:, : len(EXPLAINED_GROUPS)]
            parts[asked, popular] += self.ranker.extrapolation.log_odds(rows)
            moved.append(parts)
        steps = (
            np.concatenate([np.zeros((likely.sum(), 0), np.float32), *moved], axis=1) / MOTIVE_STEP
        )
        explained = self.written + np.flatnonzero(likely)
        self.explained += len(explained)
        self.parts["explained"].write(explained.astype(np.int64).tobytes())
        self.parts["motive"].write(np.clip(np.rint(steps), -127, 127).astype(np.int8).tobytes())

    def finish(
        self, dataset: Dataset, as_of: datetime, horizon_days: int, list_length: int
    ) -> None:
        """Write the rest, and give the arrays their shapes."""
        known, ranking = self.ranking.interactions, self.ranking
        lengths = self.lengths
        ends = np.cumsum(lengths)
        learners = len(self.ranker.learners)
        for name, dtype, shape in (
            ("product", np.int32, (self.written,)),
            ("source", np.int8, (self.written,)),
            ("taste", np.float64, (self.written, learners)),
            ("code", np.int8, (self.written, len(self.ranker.neural.static.columns))),
            ("state", np.float32, (self.written, len(self.pair))),
            ("explained", np.int64, (self.explained,)),
            ("motive", np.int8, (self.explained, learners * len(EXPLAINED_GROUPS))),
        ):
            self.parts[name].close()
            raw = self.folder / f".{name}"
            flat = np.memmap(raw, dtype, "r") if raw.stat().st_size else np.zeros(0, dtype)
            np.save(self.folder / f"{name}.npy", flat.reshape(shape))
            raw.unlink()
        nobody = ranking.state(np.zeros(0, np.int64), np.zeros(0, np.int64))
        of_customer = [name for name in nobody if name.startswith("customer_")]
        of_product = [name for name in nobody if name.startswith("product_")]
        mine = [ranking.customer_features[name] for name in of_customer]
        nan = np.full(known.shape[1], np.nan, np.float32)
        theirs = [ranking.product_features.get(name, nan) for name in of_product]
        np.save(self.folder / "customer_state.npy", np.column_stack(mine).astype(np.float32))
        np.save(self.folder / "product_state.npy", np.column_stack(theirs).astype(np.float32))
        np.save(self.folder / "hazard.npy", ranking.hazards.hazard)
        places = ranking.locations
        np.savez(
            self.folder / "places.npz",
            ids=places.ids,
            codes=places.codes,
            weights=places.weights,
        )
        ranking.plan.save(self.folder / "plan")
        self.ranker.context.save(self.folder / "moment")
        usual = [str(places.ids[code]) if code >= 0 else None for code in places.codes[:, 0]]
        pl.DataFrame(
            {
                "customer_id": pl.Series(known.customers.astype(object), dtype=pl.String),
                "baskets": known.customer_features["customer_baskets"].astype(np.int32),
                "location_id": pl.Series(usual, dtype=pl.String),
                "first": ends - lengths,
                "end": ends,
            }
        ).write_parquet(self.folder / CUSTOMERS)
        self._products(dataset).write_parquet(self.folder / "products.parquet")
        about = {
            "as_of": as_of.isoformat(),
            "horizon_days": horizon_days,
            "list_length": list_length,
            "kinds": list(self.ranker.blend.lists),
            "learners": list(self.ranker.learners),
            "reasons": [source.reason for source in ranking.generators],
            "motives": self.motives,
            "moment": self.ranker.context.columns,
            "state": {"pair": self.pair, "customer": of_customer, "product": of_product},
        }
        (self.folder / "about.json").write_text(json.dumps(about, indent=1))

    def likeliest(self) -> pl.DataFrame:
        """Return who may buy what: rows of customers and products, month, and again."""
        return pl.concat(self.buyers)

    def _products(self, dataset: Dataset) -> pl.DataFrame:
        known, ranking = self.ranking.interactions, self.ranking
        levels = [group.group_of_product for group in ranking.groups.values()]
        levels += [np.zeros(known.shape[1], np.int64)] * (2 - len(levels))
        nan = np.full(known.shape[1], np.nan, np.float32)
        frame = pl.DataFrame(
            {
                "product_id": pl.Series(known.products.astype(object), dtype=pl.String),
                "popularity": known.sum_by_product("baskets_28d"),
                "price": ranking.product_features.get("product_price", nan),
                "first_days": known.product_features["first_days"],
                "type": levels[0],
                "kind": levels[1],
            }
        )
        if "products" not in dataset.tables:
            return frame
        catalogue = dataset.table("products").collect().to_polars()
        catalogue = catalogue.unique("product_id", keep="first", maintain_order=True)
        free = ["product_id", *(name for name in catalogue.columns if name not in frame.columns)]
        return frame.join(
            catalogue.select(free), on="product_id", how="left", maintain_order="left"
        )

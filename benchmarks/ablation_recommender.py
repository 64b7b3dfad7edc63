"""Subjects and components of the recommender for `ablation.py`.

Candidates, scores of the generators, features and outcomes are computed once per dataset and
cutoff, together with the generators that propose each candidate. A variant without a generator
drops its features and the candidates that no other generator proposes; the other variants fit the
ranker differently. The costs of the generators themselves are therefore not in the table.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
from ablation import Component, Subject
from demand_cases import has_shared_data, journey, ta_feng_orders

from features.calendar import to_day
from features.dataset import Dataset
from features.memo import memo
from features.typing import Bools, Floats, Ints
from training.models.recommender.candidates import default_generators, inputs_at
from training.models.recommender.hits import customer_metrics, list_hits, truth_at
from training.models.recommender.inputs.interactions import find_sorted, interactions_at
from training.models.recommender.model import RecommenderModel, build_ranking
from training.models.recommender.ranking import features, ranker, ranker_training
from training.models.recommender.ranking.examples import Examples, Outcomes, training_cutoffs
from training.models.recommender.ranking.features import BLOCK_CUSTOMERS, Block, Ranking
from training.models.recommender.ranking.ranker import LISTS, Ranker
from training.models.recommender.ranking.ranker_training import columns, fit_ranker
from training.models.recommender.recommendations import recommendation_frame

FOLDER = "training/models/recommender"
# The first metric is the primary one; all but the log loss are better if higher.
METRICS = (
    "ndcg_10",
    "window_ndcg_10",
    "explore_precision_10",
    "explore_hit_rate_10",
    "new_product_hit_rate_10",
)
NEGATIVE_SHARE = 0.1
# Customers per training cutoff, of which two in five are used, and customers that are evaluated.
TRAINED, EVALUATED = 2_000, 2_500
# Ranks whose probabilities are compared with purchases.
LISTED = 100

# Weights of the boosters alone for new products.
_NEW = {"explore": 1.0, "month": 1.0}
# What the active variant lacks: names of generators, and the number of cutoffs.
REMOVED: set[str] = set()
CUTOFFS = {"count": RecommenderModel.cutoffs}


@dataclass(frozen=True)
class Proposed:
    """Candidates of some customers with their features, and who proposed them.

    Attributes
    ----------
    ranking, block
        The ranking, and the candidates.
    by
        By generator, whether it proposed each candidate.
    examples
        Features and outcomes of the candidates.
    """

    ranking: Ranking
    block: Block
    by: Mapping[str, Bools]
    examples: Examples

    def kept(self) -> Self:
        """Return what remains without the removed generators."""
        if not REMOVED:
            return self
        names = [name for name in self.by if name not in REMOVED]
        keep = np.any([self.by[name] for name in names], axis=0)
        generators = [g for g in self.ranking.generators if g.name not in REMOVED]
        scores = {name: self.block.scores[name][keep] for name in names}
        return replace(
            self,
            ranking=replace(self.ranking, generators=generators),
            block=Block(self.block.rows[keep], self.block.cols[keep], scores),
            by={name: self.by[name][keep] for name in names},
            examples=_filtered(self.examples, keep),
        )


def _filtered(examples: Examples, keep: Bools) -> Examples:
    lost = {f"{prefix}_{name}" for prefix in ("score", "rank") for name in REMOVED}
    rows = pl.Series(keep)
    return Examples(
        examples.static.drop(lost & set(examples.static.columns)).filter(rows),
        examples.context.filter(rows),
        examples.in_next[keep],
        examples.in_window[keep],
        examples.new[keep],
        examples.basket_size[keep],
    )


def _blocks(ranking: Ranking, rows: Ints) -> Iterator[tuple[Block, dict[str, Bools]]]:
    """Yield candidates with the generators that propose each."""
    products = ranking.interactions.shape[1]
    none = (np.zeros(0, np.int64), np.zeros(0, np.int64))
    for start in range(0, len(rows), BLOCK_CUSTOMERS):
        part = rows[start : start + BLOCK_CUSTOMERS]
        scores = {g.name: g.scores(part) for g in ranking.generators}
        first = ranking.generators[0].name
        bought = scores[first].top(products, none)
        chosen = {}
        for generator in ranking.generators:
            excluded = none if generator.name == first else bought
            positions, cols = scores[generator.name].top(generator.limit, excluded)
            chosen[generator.name] = np.sort(positions * products + cols)
        keys = np.unique(np.concatenate(list(chosen.values())))
        positions, cols = np.divmod(keys, products)
        values = {name: of_block.lookup(positions, cols) for name, of_block in scores.items()}
        by = {name: find_sorted(own, keys) >= 0 for name, own in chosen.items()}
        yield Block(part[positions], cols, values), by


def _ranking(dataset: Dataset, as_of: datetime) -> Ranking:
    products = RecommenderModel.scored_products
    return build_ranking(inputs_at.function(dataset, as_of), products)


@memo()
def trained_candidates(dataset: Dataset, cutoff: datetime, days: int) -> Proposed:
    """Return all bought candidates and a sample of the others at a cutoff."""
    ranking = _ranking(dataset, cutoff)
    known = ranking.interactions
    outcomes = Outcomes.collect(dataset, known, cutoff, days)
    rng = np.random.default_rng([0, to_day(cutoff)])
    learned = _sample(outcomes.customers, TRAINED)
    learned = learned[learned % 5 < 2]
    parts = []
    for block, by in _blocks(ranking, learned):
        position = find_sorted(outcomes.keys, block.rows * known.shape[1] + block.cols)
        keep = (position >= 0) | (rng.random(len(position)) < NEGATIVE_SHARE)
        parts.append(_part(ranking, block, by, keep, outcomes, position))
    return _joined(ranking, parts)


@memo()
def evaluated_candidates(dataset: Dataset, as_of: datetime, days: int) -> list[Proposed]:
    """Return the candidates of the evaluated customers in blocks, without outcomes."""
    ranking = _ranking(dataset, as_of)
    rows = _evaluated(dataset, as_of, days)
    size = ranking.interactions.shape[1]
    nothing = Outcomes(rows, np.zeros(0, np.int64), np.zeros(1, bool))
    parts = []
    for block, by in _blocks(ranking, rows):
        keep = ~ranking.discontinued[block.cols]
        position = find_sorted(nothing.keys, block.rows * size + block.cols)
        parts.append(_part(ranking, block, by, keep, nothing, position))
    return parts


def _evaluated(dataset: Dataset, as_of: datetime, days: int) -> Ints:
    return _sample(truth_at(dataset, as_of, {"horizon_days": days}).rows, EVALUATED)


def _sample(rows: Ints, most: int) -> Ints:
    if len(rows) <= most:
        return rows
    return rows[np.linspace(0, len(rows) - 1, most).astype(np.int64)]


def _part(
    ranking: Ranking,
    block: Block,
    by: Mapping[str, Bools],
    keep: Bools,
    outcomes: Outcomes,
    position: Ints,
) -> Proposed:
    rows, cols, position = block.rows[keep], block.cols[keep], position[keep]
    known = ranking.interactions
    examples = Examples(
        ranking.static_features(block, keep),
        ranking.context_features(block, keep),
        outcomes.in_next[position],
        position >= 0,
        known.find(rows, cols) < 0,
        known.customer_features["customer_size"][rows].astype(np.float64),
    )
    kept = Block(rows, cols, {name: values[keep] for name, values in block.scores.items()})
    return Proposed(ranking, kept, {name: own[keep] for name, own in by.items()}, examples)


def _joined(ranking: Ranking, parts: Sequence[Proposed]) -> Proposed:
    first = parts[0]
    scores = {
        name: np.concatenate([part.block.scores[name] for part in parts])
        for name in first.block.scores
    }
    rows = np.concatenate([part.block.rows for part in parts])
    cols = np.concatenate([part.block.cols for part in parts])
    by = {name: np.concatenate([part.by[name] for part in parts]) for name in first.by}
    examples = Examples.concatenate([part.examples for part in parts])
    return Proposed(ranking, Block(rows, cols, scores), by, examples)


class SampledRecommender(RecommenderModel):
    """The recommender, fitted and evaluated on cached candidates."""

    def fit(self, dataset: Dataset, as_of: datetime) -> Self:
        """Fit the ranker on the candidates of the remaining generators."""
        cutoffs = training_cutoffs(dataset, as_of, self.horizon_days, CUTOFFS["count"])
        self.ranker_ = fit_ranker(
            Examples.concatenate(
                [
                    trained_candidates(dataset, cutoff, self.horizon_days).kept().examples
                    for cutoff in cutoffs
                ]
            ),
            self.trees,
            self.rounds,
            negative_share=NEGATIVE_SHARE,
            threads=self.threads,
            seed=self.seed,
        )
        return self

    def predict(
        self,
        dataset: Dataset,
        as_of: datetime,
        ids: pl.DataFrame | None = None,  # noqa: ARG002
    ) -> pl.DataFrame:
        """Rank the cached candidates of the evaluated customers."""
        frames = []
        for part in evaluated_candidates(dataset, as_of, self.horizon_days):
            kept = part.kept()
            fitted, examples = self.ranker_, kept.examples
            static = fitted.static.encode(columns(examples.static), examples.static.height)
            raw = fitted.scores(fitted.codes(static, columns(examples.context)))
            scores = {name: fitted.probability(name, raw, examples.basket_size) for name in LISTS}
            frames.append(recommendation_frame(kept.ranking, kept.block, scores, self.list_length))
        return pl.concat(frames).sort("customer_id", "rank")


def subjects(model: str) -> list[Subject]:  # noqa: ARG001
    """Return the recommender's datasets and origins."""
    cases: list[tuple[str, datetime, int, Callable[[], Dataset]]] = [
        ("complete-journey", datetime(2017, 12, 4), 28, lambda: journey(Path(".foresell")))
    ]
    if has_shared_data():
        cases.append(("ta-feng", datetime(2001, 2, 15), 14, ta_feng_orders))
    return [_subject(*case) for case in cases]


def _subject(name: str, as_of: datetime, days: int, opened: Callable[[], Dataset]) -> Subject:
    options = {"horizon_days": days}

    def values(dataset: Dataset, predictions: pl.DataFrame) -> dict[str, Floats]:
        """Return metrics of the evaluated customers."""
        rows = truth_at(dataset, as_of, options).rows
        position = find_sorted(rows, _evaluated(dataset, as_of, days))
        metrics = customer_metrics(dataset, as_of, options, predictions)
        loss = log_loss(dataset, as_of, options, predictions)
        measured = {metric: metrics[metric][position] for metric in METRICS}
        return measured | {"log_loss": loss[position]}

    return Subject(
        "recommender",
        name,
        as_of,
        opened,
        lambda: SampledRecommender(horizon_days=days),
        values,
        lambda model, dataset: model.predict(dataset, as_of),
        higher_is_better=frozenset(METRICS),
    )


def log_loss(
    dataset: Dataset, as_of: datetime, options: Mapping[str, Any], predictions: pl.DataFrame
) -> Floats:
    """Return the mean log loss of the first `LISTED` probabilities of each evaluated customer."""
    hits = list_hits(dataset, as_of, options, predictions, LISTED)
    known = interactions_at(dataset, as_of)
    top = predictions.filter(pl.col("rank") <= LISTED)
    position = find_sorted(hits.rows, known.customer_codes(top.get_column("customer_id")))
    rank = top.get_column("rank").to_numpy() - 1
    score = np.full(hits.shown.shape, np.nan)
    score[position, rank] = np.clip(top.get_column("score").to_numpy(), 1e-6, 1 - 1e-6)
    loss = -np.where(hits.next_hits, np.log(score), np.log1p(-score))
    counted = ~np.isnan(loss)
    return np.asarray(np.nansum(loss, axis=1) / np.maximum(counted.sum(axis=1), 1))


@contextmanager
def _replaced(*changes: tuple[Any, str, Any]) -> Iterator[None]:
    """Replace attributes of modules and classes, or values of dictionaries."""
    with ExitStack() as stack:
        for owner, name, value in changes:
            if isinstance(owner, dict):
                stack.callback(owner.__setitem__, name, owner[name])
                owner[name] = value
            else:
                stack.callback(setattr, owner, name, getattr(owner, name))
                setattr(owner, name, value)
        yield


@contextmanager
def without_generators(*names: str) -> Iterator[None]:
    """Remove candidate generators."""
    REMOVED.update(names)
    try:
        yield
    finally:
        REMOVED.difference_update(names)


def _weights(**lists: Mapping[str, float]) -> AbstractContextManager[None]:
    weights = {**ranker.WEIGHTS, **lists}
    return _replaced(*((module, "WEIGHTS", weights) for module in (ranker, ranker_training)))


def without_calibration() -> AbstractContextManager[None]:
    """Return the mean log-odds of the learners, corrected for the sampled share of candidates."""

    def probability(_: Ranker, name: str, scores: Mapping[str, Floats], _size: Any) -> Floats:
        mean = scores[name] / sum(ranker.WEIGHTS[name].values())
        return np.asarray(1 / (1 + np.exp(-mean - np.log(NEGATIVE_SHARE))))

    return _replaced((Ranker, "probability", probability))


def _generator(name: str, *modules: str) -> Component:
    return Component(
        f"generator {name}",
        lambda: without_generators(name),
        tuple(f"{FOLDER}/candidates/{module}.py" for module in modules or (name,)),
        guarantees="products without sales history" if name == "cold_start" else "",
    )


def _none_discontinued(dataset: Dataset, day: int) -> pl.Series:  # noqa: ARG001
    return pl.Series("product_id", [], pl.String)


def components(model: str) -> list[Component]:  # noqa: ARG001
    """Return the components of the recommender."""
    ranking = f"{FOLDER}/ranking"
    return [
        *(_generator(generator.name) for generator in default_generators()),
        Component(
            "neural network",
            lambda: _weights(now={"next": 1.0, "month": 1.0}, month={"month": 1.0}, explore=_NEW),
            (f"{ranking}/neural.py", f"{ranking}/neural_training.py"),
        ),
        Component(
            "boosters",
            lambda: _weights(
                now={"net_next": 1.0, "net_month": 1.0},
                month={"net_month": 1.0},
                explore={"net_month": 1.0},
            ),
            (f"{ranking}/attribution.py",),
        ),
        Component(
            "booster of new products",
            lambda: _weights(explore={"month": 1.0, "net_month": 1.0}),
        ),
        Component(
            "calibration",
            without_calibration,
            (f"{ranking}/calibration.py", f"{ranking}/calibration_training.py"),
            guarantees="scores are probabilities of purchase",
        ),
        Component(
            "discontinued products",
            lambda: _replaced((features, "discontinued_products", _none_discontinued)),
            ("features/discontinued.py",),
            own_features=True,
            guarantees="no list holds a product that is no longer sold",
        ),
        Component("third cutoff", lambda: _replaced((CUTOFFS, "count", 2))),
        Component("all but the newest cutoff", lambda: _replaced((CUTOFFS, "count", 1))),
    ]

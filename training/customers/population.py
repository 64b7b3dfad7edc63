"""Customers whom the records do not hold: their orders become a dataset beside the population.

The customer models publish a `Population`; serving lays posted orders out with it and asks the
model for its features as it is asked in training and in batch. There is no second way.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import narwhals as nw
import polars as pl

from features.customers.attributes import PREFIX, attribute_columns, attributes
from features.customers.builder import typical_spend_units
from features.customers.channels import several_channels
from features.customers.population_statistics import PopulationStatistics
from features.dataset import Dataset
from features.tables import TABLES
from training.customers.cutoffs import known_customer_days

# Where or through what was bought, if that is recorded but not said: one place, nameless.
UNNAMED = "unnamed"
PLACES = ("location_id", "channel")


@dataclass(frozen=True)
class Population:
    """What a single customer's orders are read with.

    Attributes
    ----------
    statistics
        What customers' features are measured against.
    order_columns
        The columns of `orders` that the population's features were computed from.
    touched
        Whether the population has touchpoints.
    attributes
        The columns of `customers` that describe them, and whether each is of text, not numbers.
    catalogue
        product_id and category of the products; without rows where there is no catalogue.
    """

    statistics: PopulationStatistics
    order_columns: tuple[str, ...]
    touched: bool
    attributes: Mapping[str, bool]
    catalogue: pl.DataFrame

    @classmethod
    def measure(cls, dataset: Dataset, as_of: datetime) -> Self:
        """Measure the population of a dataset at `as_of`."""
        catalogue = pl.DataFrame(schema={"product_id": pl.String, "category": pl.String})
        if dataset.has("products", "category"):
            products = dataset.table("products").select("product_id", "category")
            catalogue = products.collect().to_polars().drop_nulls()
        canonical = TABLES["orders"].columns
        described = attribute_columns(dataset)
        schema = attributes(dataset).collect_schema() if described else {}
        return cls(
            PopulationStatistics(
                typical_spend_units(nw.from_native(known_customer_days(dataset, as_of)).lazy()),
                several_channels(dataset),
                tuple(described),
            ),
            tuple(name for name in dataset.columns("orders") if name in canonical),
            "touchpoints" in dataset.tables,
            {name: schema[PREFIX + name] == nw.String for name in described},
            catalogue,
        )

    def save(self, folder: Path) -> None:
        """Write `population.json` and `catalogue.parquet`."""
        content = {
            "statistics": asdict(self.statistics),
            "order_columns": self.order_columns,
            "touched": self.touched,
            "attributes": dict(self.attributes),
        }
        (folder / "population.json").write_text(json.dumps(content, indent=1))
        self.catalogue.write_parquet(folder / "catalogue.parquet")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        content = json.loads((folder / "population.json").read_text())
        return cls(
            PopulationStatistics(
                **content["statistics"] | {"attributes": tuple(content["statistics"]["attributes"])}
            ),
            tuple(content["order_columns"]),
            content["touched"],
            content["attributes"],
            pl.read_parquet(folder / "catalogue.parquet"),
        )

    def dataset_of(
        self,
        orders: pl.DataFrame,
        touchpoints: pl.DataFrame,
        described: Mapping[str, Mapping[str, str | float]],
    ) -> Dataset:
        """Lay out orders as a dataset whose features are like the population's.

        Parameters
        ----------
        orders
            Columns of the canonical table `orders`, null where a thing was not said, and
            `category`, which counts for a product that the catalogue does not know.
        touchpoints
            The canonical table; nothing known of a customer means nothing sent.
        described
            Attributes of customers by their ids, as far as they are known: text, or numbers.
        """
        known = pl.col("product_id").is_in(self.catalogue.get_column("product_id").implode())
        said = pl.col("category").is_not_null() & ~known.fill_null(value=False)
        # A product without a number is its category's; with one, it is a product of its own.
        product = pl.coalesce("product_id", pl.format("any of {}", "category"))
        orders = orders.with_columns(
            pl.when(said).then(product).otherwise("product_id").alias("product_id"),
            pl.when(said).then("category").alias("category"),
            *(pl.col(name).fill_null(UNNAMED) for name in PLACES),
        )
        further = orders.select("product_id", "category").drop_nulls().unique("product_id")
        frames = {"orders": orders.select(self.order_columns)}
        if self.catalogue.height:
            frames["products"] = pl.concat([self.catalogue, further])
        if self.touched:
            frames["touchpoints"] = touchpoints
        if self.attributes:
            schema = {
                name: pl.String if text else pl.Float64 for name, text in self.attributes.items()
            }
            rows = [{"customer_id": who, **known} for who, known in described.items()]
            frames["customers"] = pl.DataFrame(rows, schema={"customer_id": pl.String, **schema})
        tables = {name: nw.from_native(frame.lazy()) for name, frame in frames.items()}
        return Dataset("posted", "posted", tables, self.statistics)

"""The population that posted customers are compared with, and datasets of posted orders.

In: a dataset at an instant. Out: a `Population`, published beside each customer model. From it and
posted orders it builds a dataset, whose features are computed by the same code as in training.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Self

import narwhals as nw
import polars as pl

from features.columns import CUSTOMER_ID, LOCATION_ID, PRODUCT_ID
from features.customer_records import dataset_of_part
from features.customers.attributes import PREFIX, attribute_columns, attributes
from features.customers.builder import typical_spend_units
from features.customers.channels import several_channels
from features.customers.population_statistics import PopulationStatistics
from features.dataset import Dataset
from features.tables import TABLES
from training.customers.cutoffs import known_customer_days
from training.published.loaded import load_once

# Files of a published population.
POPULATION, CATALOGUE = "population.json", "catalogue.parquet"
# Location and channel of posted orders that do not name them.
UNNAMED = "unnamed"


@dataclass(frozen=True)
class Population:
    """Statistics and tables of the population that a single customer's features depend on.

    Attributes
    ----------
    statistics
        Values of the population that customers' features depend on.
    order_columns
        Columns of `orders` that the population's features were computed from.
    has_touchpoints
        Whether the population has touchpoints.
    attributes
        Attribute columns of `customers`, and whether each holds texts instead of numbers.
    catalogue
        product_id and category of the products; no rows without a catalogue.
    """

    statistics: PopulationStatistics
    order_columns: tuple[str, ...]
    has_touchpoints: bool
    attributes: Mapping[str, bool]
    catalogue: pl.DataFrame

    @cached_property
    def categories(self) -> Mapping[str, str]:
        """Category of each product of the catalogue."""
        return dict(self.catalogue.iter_rows())

    @classmethod
    def measure(cls, dataset: Dataset, as_of: datetime) -> Self:
        """Measure the population of a dataset at `as_of`."""
        catalogue = pl.DataFrame(schema={PRODUCT_ID: pl.String, "category": pl.String})
        if dataset.has("products", "category"):
            products = dataset.table("products").select(PRODUCT_ID, "category")
            catalogue = products.collect().to_polars().drop_nulls()
        canonical = TABLES["orders"].columns
        names = attribute_columns(dataset)
        schema = attributes(dataset).collect_schema() if names else {}
        return cls(
            PopulationStatistics(
                typical_spend_units(nw.from_native(known_customer_days(dataset, as_of)).lazy()),
                several_channels(dataset),
                tuple(names),
            ),
            tuple(name for name in dataset.columns("orders") if name in canonical),
            "touchpoints" in dataset.tables,
            {name: schema[PREFIX + name] == nw.String for name in names},
            catalogue,
        )

    def save(self, folder: Path) -> None:
        """Write the population into a published folder."""
        content = {
            "statistics": asdict(self.statistics),
            "order_columns": self.order_columns,
            "touched": self.has_touchpoints,
            "attributes": dict(self.attributes),
        }
        (folder / POPULATION).write_text(json.dumps(content, indent=1))
        self.catalogue.write_parquet(folder / CATALOGUE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the files that `save` writes; equal ones are one object.

        Models of one instant have the same population, for which posted customers are prepared
        once.
        """
        description = (folder / POPULATION).read_bytes()
        catalogue = (folder / CATALOGUE).read_bytes()
        read = partial(cls._read, description, catalogue)
        return load_once(read, b"population", description, catalogue)

    @classmethod
    def _read(cls, description: bytes, catalogue: bytes) -> Self:
        content = json.loads(description)
        statistics = content["statistics"]
        return cls(
            PopulationStatistics(**statistics | {"attributes": tuple(statistics["attributes"])}),
            tuple(content["order_columns"]),
            content["touched"],
            content["attributes"],
            pl.read_parquet(catalogue),
        )

    def dataset_of(
        self,
        orders: pl.DataFrame,
        touchpoints: pl.DataFrame,
        described: Mapping[str, Mapping[str, str | float]],
    ) -> Dataset:
        """Return a dataset of posted orders whose features are comparable with the population's.

        Parameters
        ----------
        orders
            Columns of the canonical table `orders`, null where not given, and `category`, which
            counts for products that are not in the catalogue.
        touchpoints
            The canonical table; customers without rows have had no touchpoints.
        described
            Known attributes by customer id: texts or numbers.
        """
        # Only products with orders count; looking them up is faster than joining the catalogue.
        products = dict.fromkeys(orders.get_column(PRODUCT_ID).to_list())
        categories = self.categories
        pairs = ((name, categories.get(name)) for name in products)
        known = {name: category for name, category in pairs if category is not None}
        is_categorised = orders.get_column("category").null_count() < orders.height
        if is_categorised:
            orders = _with_categories(orders, known)
        unnamed = [
            name for name in (LOCATION_ID, "channel") if orders.get_column(name).null_count()
        ]
        if unnamed:
            orders = orders.with_columns(pl.col(unnamed).fill_null(UNNAMED))
        frames = {"orders": orders[list(self.order_columns)]}
        if self.catalogue.height:
            columns = (list(known), list(known.values()))
            catalogue = pl.DataFrame(columns, self.catalogue.schema, orient="col")
            if is_categorised:
                further = orders.select(PRODUCT_ID, "category").drop_nulls().unique(PRODUCT_ID)
                catalogue = pl.concat([catalogue, further])
            frames["products"] = catalogue
        if self.has_touchpoints:
            frames["touchpoints"] = touchpoints
        if self.attributes:
            schema = {
                name: pl.String if text else pl.Float64 for name, text in self.attributes.items()
            }
            rows = [{CUSTOMER_ID: customer, **values} for customer, values in described.items()]
            frames["customers"] = pl.DataFrame(rows, schema={CUSTOMER_ID: pl.String, **schema})
        return dataset_of_part(frames, self.statistics)


def _with_categories(orders: pl.DataFrame, known: Mapping[str, str]) -> pl.DataFrame:
    """Keep the category of lines without a product of the catalogue, which counts as a product."""
    in_catalogue = pl.col(PRODUCT_ID).is_in(list(known))
    by_category = pl.col("category").is_not_null() & ~in_catalogue.fill_null(value=False)
    # All lines with a category and no product id count as one product of that category.
    product = pl.coalesce(PRODUCT_ID, pl.format("any of {}", "category"))
    return orders.with_columns(
        pl.when(by_category).then(product).otherwise(PRODUCT_ID).alias(PRODUCT_ID),
        pl.when(by_category).then("category").alias("category"),
    )

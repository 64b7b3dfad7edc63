"""Script that MLflow stores with each registered model and runs to load it, without pickle.

Input: ids, one row per entity, as texts or whole numbers. Parameters: `home` (by default
`FORESELL_HOME`), `dataset`, `as_of`. Output: the columns that `foresell score` writes.
"""

from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from features.calendar import parse_as_of
from features.dataset import open_dataset
from features.ingest.sources.parse import identifier
from foresell.settings import Settings
from training.registry import load_task


class ForesellModel(PythonModel):
    """MLflow interface of a trained model."""

    def load_context(self, context: Any) -> None:
        """Load the native files."""
        folder = Path(context.artifacts["model"])
        self.model = load_task(folder).model.load(folder)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Predict for the given ids from the dataset under `home`, as of `as_of`."""
        del context
        params = params or {}
        home = Path(params["home"]) if params.get("home") else Settings().home
        dataset = open_dataset(home, params["dataset"])
        as_of = parse_as_of(params["as_of"]) if params.get("as_of") else dataset.end
        ids = pl.DataFrame([identifier(column) for column in pl.from_pandas(model_input)])
        predicted: pl.DataFrame = self.model.predict(dataset, as_of, ids)
        return predicted.to_pandas()


set_model(ForesellModel())

"""The script that MLflow stores with each registered model and runs to load it: no pickle.

Input: ids (one row an entity). Parameters: `home`, `dataset`, `as_of`. Output: the columns
that `foresell score` writes.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel

from features.calendar import parse_as_of
from features.dataset import open_dataset
from training.registry import TASKS


class ForesellModel(PythonModel):
    """A trained model behind MLflow's generic interface."""

    def load_context(self, context: Any) -> None:
        """Load the native files."""
        folder = Path(context.artifacts["model"])
        about = json.loads((folder / "task.json").read_text())
        self.task = about["task"]
        self.model = TASKS[self.task].model.load(folder)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Answer for the given ids from the dataset under `home`, as of `as_of`."""
        del context
        given = params or {}
        dataset = open_dataset(Path(given["home"]), given["dataset"])
        as_of = parse_as_of(given["as_of"]) if given.get("as_of") else dataset.end
        answer: pl.DataFrame = self.model.predict(dataset, as_of, pl.from_pandas(model_input))
        return answer.to_pandas()


set_model(ForesellModel())

"""What a worker of the service imports."""

import os
import subprocess
import sys

# What training needs; they take seconds to import, and a third of a worker's memory.
TRAINING = [
    "mlflow", "matplotlib", "implicit", "lifelines", "statsforecast",
    "sklearn", "pandas", "pyarrow", "scipy.stats", "scipy.optimize",
]  # fmt: skip
WORKER = f"""
import contextlib, sys
from pathlib import Path
from serving import service
service.prepare_worker()
service.application()
from serving.readers import READERS
for load in READERS.values():
    with contextlib.suppress(OSError):  # it imports the reader, whose folder is missing
        load(Path("missing"))
print([name for name in {TRAINING} if name in sys.modules])
"""


def test_a_worker_imports_nothing_that_only_training_needs(tmp_path):
    environment = {**os.environ, "FORESELL_HOME": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", WORKER],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert run.stdout.strip() == "[]"

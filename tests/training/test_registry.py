import subprocess
import sys

# Slow to import; only evaluation and figures use them.
HEAVY = ("matplotlib", "lifelines", "statsforecast")


def test_the_registry_loads_neither_figures_nor_the_libraries_of_baselines():
    code = f"import sys, training.registry; print([m for m in {HEAVY} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"

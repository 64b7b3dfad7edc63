"""Registry of prediction tasks by name. A further task is one more line."""

import json
from pathlib import Path

from features.errors import NotFound
from training.contract import Task
from training.models.churn.task import CHURN
from training.models.demand.task import DEMAND
from training.models.next_category.task import NEXT_CATEGORY
from training.models.next_purchase.task import NEXT_PURCHASE
from training.models.recommender.task import RECOMMENDER
from training.models.value.task import VALUE

# In the order of training: the model that is ready first comes first, the longest last. The tasks
# of a group share features, which stay in memory until the group is done.
GROUPS: tuple[tuple[Task, ...], ...] = (
    (DEMAND,),
    (CHURN, NEXT_PURCHASE, NEXT_CATEGORY, VALUE),
    (RECOMMENDER,),
)
TASKS: dict[str, Task] = {task.name: task for group in GROUPS for task in group}
# Stands beside the files of a registered model.
_TASK_FILE = "task.json"


def get_task(name: str) -> Task:
    """Return the task of a name.

    Raises
    ------
    NotFound
        If there is no such task.
    """
    if name not in TASKS:
        raise NotFound(f"There is no model {name!r}; there is {', '.join(TASKS)}.", field="model")
    return TASKS[name]


def select_tasks(name: str) -> list[Task]:
    """Return the task of a name in a list, or every task for `all`.

    Raises
    ------
    NotFound
        If there is no such task.
    """
    return list(TASKS.values()) if name == "all" else [get_task(name)]


def save_task(task: Task, folder: Path) -> None:
    """Write which task a saved model is of, beside its files."""
    (folder / _TASK_FILE).write_text(json.dumps({"task": task.name}))


def load_task(folder: Path) -> Task:
    """Read which task a saved model is of."""
    return TASKS[json.loads((folder / _TASK_FILE).read_text())["task"]]

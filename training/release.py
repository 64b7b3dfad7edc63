"""Versions in the making: named, without those who may not be in them, and then the served one.

`promote` puts up what champions answer, `foresell forget` and an import what is served already.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import psutil

from training.published import versions as published
from training.redaction import Withheld


def renew(home: Path, dataset: str) -> int:
    """Publish what is served of a dataset again, without those who may not be in it any more.

    Older versions that may hold them are deleted, and what dead processes left; so is a version
    that cannot be read any more, which may hold anybody.

    Returns
    -------
    int
        How many customers were taken out.
    """
    root = published.root(home)
    sweep(root)
    withheld = Withheld.of(home, dataset)
    taken = 0
    for folder in sorted(published.versions(home), key=lambda one: one != published.current(home)):
        record = published.whole(folder)
        if record is None:
            if withheld.state:
                published.delete(folder)
            continue
        name = name_of(record.models, withheld)
        if record.dataset != dataset or folder.name == name:
            continue
        if folder == published.current(home):
            draft = root / f".{name}.{os.getpid()}"
            shutil.rmtree(draft, ignore_errors=True)
            shutil.copytree(folder, draft, copy_function=os.link)
            (draft / published.RECORD).unlink()
            taken = put_up(home, draft, dataset, record.models, withheld)
        published.delete(folder)
    return taken


def name_of(models: Mapping[str, published.PublishedModel], withheld: Withheld) -> str:
    """Name a version by what is in it, and by who is not."""
    content = json.dumps({name: model.run_id for name, model in sorted(models.items())})
    latest = max(model.as_of for model in models.values())
    digest = hashlib.sha256((content + withheld.state).encode()).hexdigest()
    return f"{latest:%Y%m%d}-{digest[:12]}"


def put_up(
    home: Path,
    draft: Path,
    dataset: str,
    models: Mapping[str, published.PublishedModel],
    withheld: Withheld,
) -> int:
    """Make a draft with every model's folder the served version; returns who was taken out."""
    taken = withheld.take_out(draft)
    name = name_of(models, withheld)
    folders = sorted(path.name for path in draft.iterdir() if path.is_dir())
    record = published.PublishedVersion(
        version=name,
        dataset=dataset,
        created=datetime.now().astimezone(),
        models=models,
        companions=tuple(folder for folder in folders if folder not in models),
    )
    published.finish(home, draft, record)
    published.switch(home, name)
    return taken


def sweep(root: Path) -> None:
    """Delete what processes left that died in publishing a version or in deleting one."""
    for folder in [path for path in root.glob("*") if path.is_dir()]:
        pid = folder.suffix[1:]
        making = folder.name.startswith(".")
        alive = making and pid.isdigit() and psutil.pid_exists(int(pid))
        # A version gets its name when it is complete, and loses its record first.
        if not alive and (making or not (folder / published.RECORD).exists()):
            shutil.rmtree(folder)

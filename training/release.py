"""Release drafts of published versions: name them, redact them and make them the served version.

Drafts come from `publish.py`, or from the served version when customers are erased.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path

import psutil

from training.monitoring import predictions
from training.published import versions as published
from training.redaction import Redaction


def republish(home: Path, dataset: str) -> int:
    """Publish the served version of a dataset again without customers who are now redacted.

    Predictions that are kept until their outcomes are known lose them too. Older versions that may
    contain them are deleted, and so are unreadable or damaged versions and leftovers of dead
    processes.

    Returns
    -------
    int
        Number of customers removed.
    """
    published.drop_former_layout(home)
    clean_up(published.dataset_root(home, dataset))
    redaction = Redaction.load(home, dataset)
    predictions.redact(home, dataset, redaction.mask)
    removed = 0
    served = published.current(home, dataset)
    # The served version is replaced first.
    for folder in sorted(published.versions(home, dataset), key=lambda folder: folder != served):
        # Links to damaged files would become a version that looks intact.
        record = published.read_intact(folder)
        if record is None:
            if redaction.fingerprint:
                published.delete(folder)
            continue
        name = version_name(record.models, redaction)
        if folder.name == name:
            continue
        if folder == served:
            draft = draft_folder(home, dataset, name)
            shutil.copytree(folder, draft, copy_function=os.link)
            (draft / published.RECORD).unlink()
            removed = activate(home, draft, dataset, record.models, redaction)
        published.delete(folder)
    return removed


def version_name(models: Mapping[str, published.PublishedModel], redaction: Redaction) -> str:
    """Return the name of a version: its newest instant and a hash of its models and redaction.

    The words on a model count, because a version is immutable: after the evaluation of its models
    it is published under another name.
    """
    runs = {name: model.run_id + model.standing.words for name, model in sorted(models.items())}
    content = json.dumps(runs)
    latest = max(model.as_of for model in models.values())
    digest = hashlib.sha256((content + redaction.fingerprint).encode()).hexdigest()
    return f"{latest:%Y%m%d}-{digest[:12]}"


def draft_folder(home: Path, dataset: str, name: str) -> Path:
    """Return the path of this process's draft of a version; a former draft is deleted."""
    draft = published.dataset_root(home, dataset) / f".{name}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    return draft


def activate(
    home: Path,
    draft: Path,
    dataset: str,
    models: Mapping[str, published.PublishedModel],
    redaction: Redaction,
    *,
    redacted: Collection[str] = (),
) -> int:
    """Redact a draft with every model's folder and make it the served version.

    Parameters
    ----------
    redacted
        Models whose folders are free of these customers already.

    Returns
    -------
    int
        Number of customers removed.
    """
    removed = redaction.redact(draft, redacted)
    name = version_name(models, redaction)
    folders = sorted(path.name for path in draft.iterdir() if path.is_dir())
    record = published.PublishedVersion(
        version=name,
        dataset=dataset,
        created=datetime.now().astimezone(),
        models=models,
        companions=tuple(folder for folder in folders if folder not in models),
        consent=redaction.consenting is not None,
    )
    published.finish(home, draft, record)
    published.switch(home, name, dataset)
    return removed


def clean_up(root: Path) -> None:
    """Delete drafts and half-deleted versions of processes that died."""
    for folder in [path for path in root.glob("*") if path.is_dir()]:
        pid = folder.suffix[1:]
        is_draft = folder.name.startswith(".")
        alive = is_draft and pid.isdigit() and psutil.pid_exists(int(pid))
        # A version loses its record first when it is deleted.
        incomplete = is_draft or not (folder / published.RECORD).exists()
        if not alive and incomplete:
            shutil.rmtree(folder)

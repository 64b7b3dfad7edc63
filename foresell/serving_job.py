"""The job behind `foresell serve`: the service, beside it training, and example requests.

The service and the training are child processes. Training that fails does not end the service.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading

import psutil

from features.errors import InvalidInput
from foresell.failures import ALL, Failures
from foresell.progress import console
from foresell.progress import progress as progress_bar
from foresell.settings import Settings
from foresell.smoke import Examples
from serving import launch
from serving.http.keys import KeyStore
from serving.instance import is_loopback
from serving.logs import configure_logging
from training.published import versions as published


def serve(settings: Settings, *, try_it: bool = False, train: bool = False) -> int:
    """Serve the published version until interrupted; returns the server's exit code.

    Parameters
    ----------
    try_it
        Whether to send an example request to each model and print the response.
    train
        Whether to train what is missing meanwhile; each model answers once it is published.
        Without it, a dataset that was trained and never published is published first.
    """
    _check_keys(settings)
    configure_logging(settings.log_format)
    published.drop_former_layout(settings.home)
    dataset = settings.dataset if train else _published_dataset(settings)
    examples = Examples(settings.home, dataset) if try_it else None
    beside = Beside(settings, examples, train=train)
    try:
        return launch.serve(
            home=settings.home,
            dataset=dataset,
            host=settings.host,
            port=settings.port,
            workers=settings.workers,
            watch=beside.watch,
            request_seconds=settings.request_seconds,
            drain_seconds=settings.drain_seconds,
        )
    finally:
        beside.stop()


def _check_keys(settings: Settings) -> None:
    """Refuse to serve other machines without a key that they could send.

    Raises
    ------
    InvalidInput
        If keys are required and there is none.
    """
    required = settings.require_key
    if required is None:
        required = not is_loopback(settings.host)
    if required and not KeyStore(settings.home).stored():
        raise InvalidInput(
            f"host = {settings.host!r} is open to other machines, which need an API key, and there "
            "is none: create one with `foresell keys create NAME`, or listen on 127.0.0.1.",
            field="host",
        )


def _published_dataset(settings: Settings) -> str:
    """Return the dataset to serve, after publishing its champions if nothing of it is published.

    It is the one that is named, or else the only one that is published, or else the default.

    Raises
    ------
    InvalidInput
        If none is named, several are published and the default is not.
    """
    dataset, names = settings.dataset, published.datasets(settings.home)
    if "dataset" not in settings.model_fields_set and names and dataset not in names:
        if len(names) > 1:
            raise InvalidInput(
                f"Several datasets are published: {', '.join(names)}; name the one of requests "
                "that name none by --dataset.",
                field="dataset",
            )
        (dataset,) = names
    if published.served(settings.home, dataset) is not None:
        return dataset
    from training.publish import publish
    from training.tracking import Tracker

    with progress_bar(f"publish {dataset}") as progress:
        publish(
            settings.home,
            Tracker(settings.mlruns, settings.tracking_database),
            dataset,
            keep=settings.keep_versions,
            failed=Failures(settings.home, ALL).add,
            progress=progress,
        )
    return dataset


class Beside:
    """What happens beside the service: training, example requests, and messages about both.

    Parameters
    ----------
    settings
        The settings of the service.
    examples
        Requests to send, if any.
    train
        Whether to train.
    """

    def __init__(self, settings: Settings, examples: Examples | None, *, train: bool) -> None:
        self.settings, self.examples, self.train = settings, examples, train
        self._url = f"http://{settings.host}:{settings.port}"
        self._training: Training | None = None
        self._responded = False

    def watch(self, *, responds: bool) -> None:
        """Start what is to be started, and report what happened since the last call."""
        if self.train and self._training is None:
            self._training = Training(self.settings)
        if self._training is not None:
            self._training.report_failure()
        if responds and not self._responded:
            self._responded = True
            console.print(
                f"[bold]serving[/] {self._url}, documentation at {self._url}/docs; Ctrl-C ends it",
                soft_wrap=True,
            )
        if responds and self.examples is not None:
            self.examples.send_new(self._url)

    def stop(self) -> None:
        """End the training, if it runs."""
        if self._training is not None:
            self._training.stop()


class Training:
    """`foresell train all --if-missing` as a child process, whose output is passed on."""

    def __init__(self, settings: Settings) -> None:
        words = ["train", "all", "--if-missing", "--dataset", settings.dataset]
        # In a new session, so that Ctrl-C does not reach it, but `stop` does. Its output passes
        # through here: a progress bar would overwrite the log of the service.
        self.process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", "foresell.cli", *words],
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        self._reported = False
        self._stopped = False
        self._output = threading.Thread(target=self._pass_on, daemon=True)
        self._output.start()

    def report_failure(self) -> None:
        """Say once that training failed, if it did."""
        code = self.process.poll()
        if not code or self._reported:
            return
        self._reported = True
        self._output.join()
        console.print(
            f"[red]training ended with exit code {code}[/]; the service continues with what is "
            "published, and `foresell train all --if-missing` trains the rest",
            soft_wrap=True,
        )

    def stop(self) -> None:
        """Interrupt the process, and kill it with its children if it does not end."""
        if self.process.poll() is not None:
            return
        self._stopped = True
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(timeout=launch.GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()

    def _pass_on(self) -> None:
        assert self.process.stderr is not None, "the process has a pipe"  # noqa: S101
        for line in self.process.stderr:
            # An interrupt during imports prints a traceback.
            if not self._stopped:
                sys.stderr.write(line)

"""MLflow's interface is started on the store of the settings."""

import socket

import pytest

from features.errors import InvalidInput, NotFound
from foresell.settings import Settings
from foresell.ui import command


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "mlflow.db").touch()
    return Settings(mlruns=tmp_path)


def test_the_interface_gets_the_store_without_showing_its_url_to_other_users(
    settings, tmp_path, monkeypatch
):
    monkeypatch.setattr("training.registered.Registry.exists", lambda _: True)
    url = "postgresql://user:hidden@127.0.0.1/runs"
    chosen = settings.model_copy(update={"tracking_url": Settings(tracking_url=url).tracking_url})
    arguments, environment = command(chosen, "127.0.0.1", 4999)
    assert environment["MLFLOW_BACKEND_STORE_URI"] == url.replace("://", "+psycopg://")
    assert environment["MLFLOW_DEFAULT_ARTIFACT_ROOT"] == (tmp_path / "artifacts").as_uri()
    assert arguments[1:4] == ["-m", "mlflow", "server"]
    assert "hidden" not in " ".join(arguments)


def test_without_a_store_or_on_a_port_in_use_there_is_no_interface(settings, tmp_path):
    with pytest.raises(NotFound, match="foresell train all"):
        command(Settings(mlruns=tmp_path / "none"), "127.0.0.1", 4999)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"port = {port}"):
            command(settings, "127.0.0.1", port)

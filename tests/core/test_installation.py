"""The command that installs an extra fits the way the program was installed."""

from __future__ import annotations

import json
import sys
from importlib import metadata
from pathlib import Path

import pytest

from mocap.core.installation import install_command, source_checkout


class Installed(metadata.PathDistribution):
    """The program's metadata as pip leaves them."""

    def __init__(self, folder: Path, direct_url: object | None) -> None:
        super().__init__(folder)
        if direct_url is not None:
            (folder / "direct_url.json").write_text(json.dumps(direct_url), "utf-8")


def install(monkeypatch: pytest.MonkeyPatch, distribution: metadata.Distribution) -> None:
    monkeypatch.setattr(metadata, "distribution", lambda name: distribution)


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a checkout with an editable installation in its `.venv`."""
    folder, info = tmp_path / "clone", tmp_path / "info"
    for made in (folder, info):
        made.mkdir()
    (folder / "constraints.txt").touch()
    install(monkeypatch, Installed(info, {"url": folder.as_uri(), "dir_info": {"editable": True}}))
    monkeypatch.setattr(sys, "executable", str(folder / ".venv" / "bin" / "python"))
    return folder


def test_in_a_checkout_its_own_versions_are_kept(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)
    assert source_checkout() == checkout
    python = Path(".venv") / "bin" / "python"
    assert install_command("blender") == f'{python} -m pip install -c constraints.txt -e ".[blender]"'


def test_outside_the_checkout_the_command_names_it(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = checkout.parent / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    constraints = checkout / "constraints.txt"
    assert install_command("blender").endswith(f'-m pip install -c {constraints} -e "{checkout}[blender]"')


@pytest.mark.parametrize("direct_url", [None, {"url": "file:///somewhere/mocap.whl", "archive_info": {}}])
def test_an_installed_wheel_is_asked_for_by_name(
    direct_url: object | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, Installed(tmp_path, direct_url))
    assert source_checkout() is None
    assert install_command("blender").endswith('-m pip install "mocap-studio[blender]"')

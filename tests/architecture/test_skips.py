"""CI fails when a test is skipped for a reason that nobody agreed to."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).resolve().parents[1] / "conftest.py"


def run_in_ci(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    tests = folder / "tests"
    tests.mkdir()
    shutil.copy(CONFTEST, tests)
    (tests / "test_it.py").write_text(f"import pytest\ndef test_ok(): pass\n{body}\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(folder), str(tests)]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "CI": "true"}, capture_output=True, text=True, timeout=60
    )


def test_an_agreed_skip_passes(tmp_path: Path) -> None:
    result = run_in_ci(tmp_path, "def test_s(shared): shared('nowhere')")
    assert (result.returncode, "1 passed, 1 skipped" in result.stdout) == (0, True), result.stdout


@pytest.mark.parametrize(
    "body",
    [
        "def test_s(): pytest.skip('flaky today')",
        "@pytest.mark.skip(reason='later')\ndef test_s(): pass",
        "pytest.importorskip('no_such_package')",
    ],
    ids=["in the test", "by a mark", "of a module"],
)
def test_any_other_skip_fails_the_run_and_is_named(tmp_path: Path, body: str) -> None:
    result = run_in_ci(tmp_path, body)
    assert result.returncode != 0
    assert "does not allow" in result.stdout

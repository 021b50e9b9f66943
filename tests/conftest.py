"""Fixtures shared by all tests, and the watch over skipped tests."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED_SKIPS = (
    r"\.\./shared/\S+ is not beside the project",
    r"bpy is not installed",
    r"needs the network",
    r"needs a file system without permission for this user",
    r"not on (Windows|macOS)",
    r"running as root",
)
"""Patterns of reasons for which CI may skip a test; anything else fails the run, so that no test vanishes silently."""


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Return a function that finds real material beside the project, or skips the test that needs it, by name."""

    def find(name: str) -> Path:
        path = ROOT.parent / "shared" / name
        if not path.exists():
            pytest.skip(f"../shared/{name} is not beside the project")
        return path

    return find


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    """Return the module that makes sample motions and takes; the tests' folders are no packages."""
    name = "mocap_tests_sample_take"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, ROOT / "tests" / "exporters" / "sample_take.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def unexpected_skips(reports: list[pytest.TestReport | pytest.CollectReport]) -> list[str]:
    """Return `test: reason` of every skipped test whose reason is not an allowed one."""
    found: list[str] = []
    for report in reports:
        if hasattr(report, "wasxfail"):
            continue
        text = report.longrepr
        reason = (text[2] if isinstance(text, tuple) else str(text)).removeprefix("Skipped: ")
        if not any(re.search(pattern, reason) for pattern in ALLOWED_SKIPS):
            found.append(f"{report.nodeid}: {reason}")
    return found


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """In CI, fail the run when a test was skipped for a reason that is not allowed."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not os.environ.get("CI"):
        return (yield)
    bad = unexpected_skips(reporter.stats.get("skipped", []))
    if bad and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield
    if bad:
        reporter.write_line("")
        reporter.write_line("Skipped for a reason that tests/conftest.py does not allow in CI:", red=True)
        for line in bad:
            reporter.write_line(f"  {line}", red=True)
    return None

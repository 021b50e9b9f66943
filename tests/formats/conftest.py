"""The sample take as a fixture."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SAMPLE = Path(__file__).resolve().parents[1] / "exporters" / "sample_take.py"


@pytest.fixture(scope="session")
def samples() -> ModuleType:
    """Return the module that makes sample motions and takes; the tests' folders are no packages."""
    name = "mocap_tests_sample_take"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, SAMPLE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]

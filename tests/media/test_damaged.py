"""Damaged files: a sample of what `scripts/fuzz_media.py` does by the ten thousand."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_damaged_files_neither_crash_nor_hang(shared: Callable[[str], Path]) -> None:
    shared("data/gopro")
    command = [sys.executable, str(ROOT / "scripts" / "fuzz_media.py"), "--first", "20000", "--cases", "60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing found" in done.stdout

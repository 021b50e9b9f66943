"""Fixtures shared by all tests, and the watch over skipped tests."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent

ALLOWED_SKIPS = (
    r"\.\./shared/\S+ is not beside the project",
    r"bpy is not installed",
    r"aniposelib is not installed",
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


SOUND_HZ = 48000


@pytest.fixture(scope="session")
def write_clip() -> Callable[..., Path]:
    """Return a function that writes a small video, with sound where samples are given.

    write(path, levels, fps, sound=None, times=None, size_px=(64, 48)): one grey picture per level; `sound` float
    [sample] at 48000 Hz from the first picture on; `times` in units of 1/90000 s instead of even ones. `.mov` keeps
    sound exactly.
    """

    def write(
        path: Path,
        levels: Sequence[int],
        fps: Fraction = Fraction(30),
        sound: np.ndarray | None = None,
        times: Sequence[int] | None = None,
        size_px: tuple[int, int] = (64, 48),
    ) -> Path:
        import av

        path.parent.mkdir(parents=True, exist_ok=True)
        base = Fraction(1, 90000) if times is not None else 1 / fps
        with av.open(str(path), "w") as container:
            video = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
            video.width, video.height, video.pix_fmt = *size_px, "yuv420p"
            video.time_base = video.codec_context.time_base = base
            audio = None if sound is None else container.add_stream("pcm_s16le", rate=SOUND_HZ, layout="mono")
            for k, level in enumerate(levels):
                picture = av.VideoFrame.from_ndarray(
                    np.full((size_px[1], size_px[0], 3), level, np.uint8), format="rgb24"
                )
                picture.pts, picture.time_base = k if times is None else times[k], base
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
            if audio is not None and sound is not None:
                packed = np.ascontiguousarray(np.round(32767 * np.clip(sound, -1, 1)).astype(np.int16)[None])
                frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="mono")
                frame.sample_rate, frame.pts, frame.time_base = SOUND_HZ, 0, Fraction(1, SOUND_HZ)
                container.mux(audio.encode(frame))
                container.mux(audio.encode(None))
        return path

    return write

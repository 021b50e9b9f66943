"""The footage of `mocap demo`: Pose2Sim's Demo_SinglePerson (BSD-3-Clause), four cameras, 100 frames at 60 fps."""

from __future__ import annotations

from pathlib import Path

from mocap.core.progress import NoProgress, Progress
from mocap.media.packages import POSE2SIM_DEMO, fetch


def demo_footage(progress: Progress | None = None) -> Path:
    """Return the folder with `videos/cam01..04.mp4`, `calibration/Calib.qca.txt` and `Config.toml`; fetch it once.

    Raises: SetupError as `mocap.media.packages.wheel_files`.
    """
    return fetch(POSE2SIM_DEMO, progress or NoProgress()) / "Pose2Sim" / "Demo_SinglePerson"

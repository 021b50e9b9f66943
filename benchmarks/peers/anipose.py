"""aniposelib's `triangulate_optim` on a take: run by the benchmarks with the Python of an environment that has it.

    python anipose.py RIG.toml INPUT.npz OUTPUT.npz

INPUT holds xy_px [camera frame keypoint 2], score [camera frame keypoint], bones [bone 2]; OUTPUT xyz_m [frame keypoint
3] and seconds, without reading and compiling. Needs `pip install aniposelib==0.8.0`; imports nothing of this project.
"""

# pyright: reportMissingImports=false, reportUnknownMemberType=false
import sys
import time

import numpy as np
from aniposelib.cameras import CameraGroup


def main() -> None:
    """Triangulate, then optimise with constant bone lengths; low scores are left out, as its own pipeline does."""
    group, data = CameraGroup.load(sys.argv[1]), np.load(sys.argv[2])
    xy = np.where(data["score"][..., None] > 0.3, data["xy_px"], np.nan).astype(np.float64)
    bones = data["bones"].tolist()
    group.triangulate_optim(xy[:, :40], constraints=bones)  # numba compiles
    start = time.perf_counter()
    xyz_m = group.triangulate_optim(xy, constraints=bones, scores=data["score"].astype(np.float64))
    np.savez(sys.argv[3], xyz_m=xyz_m, seconds=time.perf_counter() - start)


if __name__ == "__main__":
    main()

"""Make calibration/gopro_lenses.csv from a folder of Gyroflow's GoPro lens profiles (CC0).

python scripts/make_gopro_lenses.py ../shared/data/gopro/gyroflow_lens_profiles/GoPro
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
HEADER = """\
# GoPro lenses as cv2.fisheye coefficients; lengths as shares of the picture's width (fx fy) or size (cx cy).
# Made by scripts/make_gopro_lenses.py from github.com/gyroflow/lens_profiles @ 886fc616 (folder GoPro), CC0 1.0.
# stabilisation: off, on, boost, or any (not stated). rms_px and pictures are those of the profile's own calibration.
model,mode,stabilisation,width,height,fx,fy,cx,cy,k1,k2,k3,k4,rms_px,pictures,official
"""
MAX_RMS_PX = 2.0
SKIPPED = re.compile(r"anamorph|anomorph|kase|skyreat|protector|macro|upside|nose|odwrotnie|fredox|stretched", re.I)
MODES = (
    ("max lens", r"max"),
    ("hyperview", r"hyper"),
    ("superview", r"super"),
    ("linear", r"linear"),
    ("narrow", r"narrow"),
    ("medium", r"medium"),
    ("wide", r"wide|angular|超宽|\bww\b|60w"),
)


def main() -> None:
    """Write the table."""
    rows: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for file in sorted(Path(sys.argv[1]).glob("*.json")):
        row = _row(json.loads(file.read_text("utf-8")))
        if row is None:
            continue
        key, quality = row[:5], (row[-1], -row[-3])
        if key not in rows or quality > (rows[key][-1], -rows[key][-3]):
            rows[key] = row
    lines = [",".join(f"{v:.6g}" if isinstance(v, float) else str(v) for v in rows[k]) for k in sorted(rows)]
    (ROOT / "calibration" / "gopro_lenses.csv").write_text(HEADER + "\n".join(lines) + "\n", "utf-8")
    print(len(lines), "lenses")


def _row(profile: dict[str, Any]) -> tuple[Any, ...] | None:
    texts = " ".join(str(profile.get(k) or "") for k in ("name", "lens_model", "camera_setting", "note"))
    fit = profile["fisheye_params"]
    rms = float(fit.get("RMS_error") or 9.0)
    stretch = {float(profile.get(f"input_{a}_stretch") or 1.0) for a in ("horizontal", "vertical")}
    width, height = profile["calib_dimension"]["w"], profile["calib_dimension"]["h"]
    if SKIPPED.search(texts) or stretch != {1.0} or rms > MAX_RMS_PX or width < height:
        return None
    (fx, _, cx), (_, fy, cy), _ = fit["camera_matrix"]
    k = [float(v) for v in fit["distortion_coeffs"]]
    setting = " ".join(str(profile.get(n) or "") for n in ("lens_model", "camera_setting"))
    mode = next((m for m, p in MODES if re.search(p, setting.lower())), "wide")
    model = _model(profile["camera_model"])
    shares = (fx / width, fy / width, cx / width, cy / height)
    official = int(bool(profile.get("official")))
    return (model, mode, _stabilisation(texts), width, height, *shares, *k, rms, int(profile["num_images"]), official)


def _model(text: str) -> str:
    plain = re.sub(r"\(.*?\)|[\s_]|black", "", text.lower())
    return {"session": "hero5session", "session4": "hero4session", "hero": "hero2018"}.get(plain, plain)


def _stabilisation(text: str) -> str:
    plain = text.lower()
    if re.search(r"no[- ]?eis|off eis|eis-no|stab off", plain):
        return "off"
    if re.search(r"boost", plain):
        return "boost"
    return "on" if re.search(r"eis|hs |stab on|hlevel", plain) else "any"


if __name__ == "__main__":
    main()

"""Export as a whole: what is published, what is kept, what the user reads when it fails."""

from __future__ import annotations

import errno
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from exporters import fbx, trc
from exporters.job import Format
from exporters.table import FORMATS, export
from mocap.core.errors import InputError, SetupError
from mocap.core.installation import install_command
from mocap.retarget import retarget

NATIVE = ("bvh", "trc", "points_trc", "glb", "c3d", "csv", "npz", "coco")


@pytest.mark.parametrize("name", NATIVE)
def test_every_native_format_reads_back_within_ten_micrometres(name: str, samples: ModuleType, tmp_path: Path) -> None:
    take = samples.sample_take(samples.sample_motion(fps=Fraction(60000, 1001), start_s=2.5))
    (file,) = export(take, [name], tmp_path)
    assert file.path == tmp_path / f"subject_0{FORMATS[name].suffix}"
    assert file.max_error_m < 1e-5
    assert [p.name for p in tmp_path.iterdir()] == [file.path.name]


@pytest.mark.parametrize("name", NATIVE)
@pytest.mark.parametrize("n_frames", [1, 2])
def test_takes_of_one_and_two_frames_are_exported(
    name: str, n_frames: int, samples: ModuleType, tmp_path: Path
) -> None:
    (file,) = export(samples.sample_take(samples.sample_motion(n_frames)), [name], tmp_path)
    assert file.max_error_m < 1e-5


@pytest.mark.parametrize("rig", ["mixamo", "ue5"])
@pytest.mark.parametrize("name", ["bvh", "glb", "npz"])
def test_rigs_with_bind_rotations_of_their_own_read_back(
    name: str, rig: str, samples: ModuleType, tmp_path: Path
) -> None:
    (file,) = export(samples.sample_take(), [name], tmp_path, rig_name=rig, retarget=retarget)
    assert file.max_error_m < 1e-5


def test_an_unknown_format_lists_the_known_ones_and_writes_nothing(samples: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="bvh, trc") as caught:
        export(samples.sample_take(), ["bvh", "abc"], tmp_path)
    assert caught.value.code == "format-unknown"
    assert not list(tmp_path.iterdir())


def test_an_unknown_rig_lists_the_known_ones(samples: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="mixamo, studio, ue5") as caught:
        export(samples.sample_take(), ["bvh"], tmp_path, rig_name="centaur", retarget=retarget)
    assert caught.value.code == "rig-unknown"


def test_an_unknown_unit_lists_the_known_ones(samples: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="m, cm") as caught:
        export(samples.sample_take(), ["bvh"], tmp_path, units="inch")
    assert caught.value.code == "units-unknown"


def test_a_frame_rate_of_zero_is_refused(samples: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        export(samples.sample_take(), ["bvh"], tmp_path, fps=Fraction(0))
    assert caught.value.code == "fps-not-positive"


def test_a_file_that_does_not_read_back_is_discarded_and_the_old_one_kept(
    samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "subject_0.trc"
    old.write_text("precious")

    def write_shifted(job: object, path: Path) -> None:
        points = samples.sample_take().keypoints
        trc._write(replace(points, xyz_m=points.xyz_m + 0.001), 60.0, "x", path)

    monkeypatch.setitem(FORMATS, "trc", Format("trc", ".trc", write_shifted, trc.read_back, ""))
    with pytest.raises(SetupError, match=r"1\.73 mm from its source") as caught:
        export(samples.sample_take(), ["trc"], tmp_path)
    assert caught.value.code == "export-mismatch"
    assert old.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["subject_0.trc"]


def test_a_truncated_file_is_discarded(samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    glb = FORMATS["glb"]

    def write_half(job: object, path: Path) -> None:
        glb.write(job, path)  # type: ignore[arg-type]  # the table's writers take a Job
        path.write_bytes(path.read_bytes()[:1000])

    monkeypatch.setitem(FORMATS, "glb", replace(glb, write=write_half))
    with pytest.raises(SetupError) as caught:
        export(samples.sample_take(), ["glb"], tmp_path)
    assert caught.value.code == "export-mismatch"
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_named_and_what_existed_is_kept(
    samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "subject_0.bvh"
    old.write_text("precious")

    def full(path: Path, text: str, **_: object) -> int:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(SetupError, match="disk is full") as caught:
        export(samples.sample_take(), ["bvh"], tmp_path)
    assert caught.value.code == "output-full"
    assert old.read_text() == "precious"
    assert [p.name for p in tmp_path.iterdir()] == ["subject_0.bvh"]


def test_a_folder_that_cannot_be_written_is_named(samples: ModuleType, tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("precious")
    with pytest.raises(SetupError, match="cannot be written") as caught:
        export(samples.sample_take(), ["bvh"], in_the_way / "out")
    assert caught.value.code == "output-not-writable"
    assert in_the_way.read_text() == "precious"


def test_a_read_only_folder_is_named_and_what_existed_is_kept(
    samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = tmp_path / "subject_0.npz"
    old.write_text("precious")

    def refuse(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    # The tests may run as a user whom permissions do not stop.
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SetupError, match="Read-only file system") as caught:
        export(samples.sample_take(), ["npz"], tmp_path)
    monkeypatch.undo()
    assert caught.value.code == "output-not-writable"
    assert old.read_text() == "precious"


def test_a_disk_that_fills_in_the_middle_of_a_set_leaves_every_earlier_file(
    samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("subject_0.bvh", "subject_0.trc"):
        (tmp_path / name).write_text("precious")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setitem(FORMATS, "trc", replace(FORMATS["trc"], write=full))
    with pytest.raises(SetupError, match=r"subject_0\.trc: the disk is full"):
        export(samples.sample_take(), ["bvh", "trc"], tmp_path)
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == {
        "subject_0.bvh": "precious",
        "subject_0.trc": "precious",
    }


def test_another_rate_has_a_name_of_its_own(samples: ModuleType, tmp_path: Path) -> None:
    take = samples.sample_take()
    own, half = take.motion.timeline.fps, take.motion.timeline.fps / 2
    (same,) = export(take, ["bvh"], tmp_path, fps=own)
    (other,) = export(take, ["bvh"], tmp_path, fps=half)
    assert (same.path.name, other.path.name) == ("subject_0.bvh", f"subject_0_{float(half):.6g}fps.bvh")


def test_a_cancelled_export_publishes_nothing(samples: ModuleType, tmp_path: Path) -> None:
    class StopAfterOne:
        def start(self, label: str, total: float | None) -> None: ...

        def advance(self, amount: float = 1.0) -> None:
            raise KeyboardInterrupt

        def finish(self) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        export(samples.sample_take(), ["bvh", "trc"], tmp_path, progress=StopAfterOne())
    assert list(tmp_path.iterdir()) == []


def test_without_blender_fbx_names_the_command_that_installs_it(
    samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fbx, "blender_command", lambda: None)
    with pytest.raises(SetupError) as caught:
        export(samples.sample_take(), ["fbx"], tmp_path)
    assert caught.value.code == "blender-missing"
    assert install_command("blender") in caught.value.advice
    assert not list(tmp_path.iterdir())


def test_a_blender_that_crashes_is_reported_with_its_last_words(
    samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crash = tmp_path / "crash.py"
    crash.write_text("import sys\nsys.exit('out of memory')\n")
    monkeypatch.setattr(fbx, "blender_command", lambda: [sys.executable])
    monkeypatch.setattr(fbx, "WORKER", crash)
    with pytest.raises(SetupError, match=r"status 1.*out of memory") as caught:
        export(samples.sample_take(), ["fbx"], tmp_path / "out")
    assert caught.value.code == "blender-failed"
    assert not list((tmp_path / "out").iterdir())


def test_a_blender_that_hangs_is_stopped(samples: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hang = tmp_path / "hang.py"
    hang.write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(fbx, "blender_command", lambda: [sys.executable])
    monkeypatch.setattr(fbx, "WORKER", hang)
    monkeypatch.setattr(fbx, "START_TIMEOUT_S", 0.2)
    with pytest.raises(SetupError) as caught:
        export(samples.sample_take(), ["fbx"], tmp_path / "out")
    assert caught.value.code == "blender-timeout"


def test_importing_the_table_loads_no_blender_and_no_c3d_library() -> None:
    code = "import sys, exporters.table; print(sorted({'bpy', 'ezc3d', 'pygltflib'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_archive_holds_what_the_contract_names(samples: ModuleType, tmp_path: Path) -> None:
    take = samples.sample_take()
    export(take, ["npz"], tmp_path)
    with np.load(tmp_path / "subject_0.npz") as data:
        assert data["xyz_m"].shape == (7, 11, 3)
        assert data["sigma_m"].shape == data["source"].shape == (7, 11)
        assert data["inlier_probability"].shape == (5, 7, 11)
        assert data["joint_R_world"].shape == (7, 22, 3, 3)
        assert data["contact_names"].tolist() == ["LeftFoot", "RightFoot"]
        assert data["contact"].shape == (7, 2)
        np.testing.assert_array_equal(data["time_s"], take.keypoints.time_s)
        assert data["names"].tolist() == list(take.keypoints.keypoint_set.names)

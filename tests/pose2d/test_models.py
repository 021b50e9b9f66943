"""Weights by hash, pulled or imported; models by name; what is said when something is missing."""

from __future__ import annotations

import hashlib
import json
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mocap.cli.main import main
from mocap.core.errors import InputError, MocapError, SetupError
from mocap.core.keypoints import load_keypoint_set
from mocap.core.progress import NoProgress
from mocap.pose2d import cards, models, onnx_model, weights

Maker = Callable[[Path, int], Path]
CARD = "rtmpose-m-body17"


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture
def known(simcc_model: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> Path:
    """Return a small model whose hash a card has."""
    assert cache
    file = simcc_model(tmp_path / "end2end.onnx", 17)
    card = {**cards.load_card(CARD), "weights": {**cards.load_card(CARD)["weights"], "sha256": sha256(file)}}
    give(monkeypatch, card)
    return file


def give(monkeypatch: pytest.MonkeyPatch, card: dict[str, Any]) -> None:
    real = cards.load_card
    for module in (weights, models):
        monkeypatch.setattr(module, "load_card", lambda name: card if name == card["name"] else real(name))


@pytest.mark.parametrize("name", [n for n in cards.card_names() if n != "blazepose"])
def test_every_card_is_complete(name: str) -> None:
    card = cards.load_card(name)
    assert card["name"] == name
    assert card["licence"]
    assert len(card["licence_text"]) > 100
    assert len(card["weights"]["sha256"]) in (0, 64)
    assert all(url.startswith("https://") for url in card["weights"]["urls"])
    expected = onnx_model.expected_outputs(card)
    assert len(expected) == 2
    if card["task"] == "top-down":
        n = len(load_keypoint_set(card["keypoint_set"]))
        width, height = card["input_size_px"]
        assert list(expected.values()) == [(n, 2 * width), (n, 2 * height)]


# --- import -----------------------------------------------------------------------------------------------------------


def test_a_file_is_recognised_by_its_hash_alone_or_in_an_archive(known: Path, tmp_path: Path) -> None:
    assert weights.import_file(known) == CARD
    assert sha256(weights.weights_file(CARD)) == sha256(known)
    weights.weights_file(CARD).unlink()
    (weights.weights_folder(CARD) / "record.json").unlink()
    weights.weights_folder(CARD).rmdir()
    archive = tmp_path / "model.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.write(known, "20230605/rtmpose/end2end.onnx")
        z.writestr("20230605/rtmpose/detail.json", "{}")
    assert weights.import_file(archive) == CARD
    assert weights.is_here(CARD)


def test_a_file_with_another_hash_than_its_card_is_refused(known: Path, simcc_model: Maker, tmp_path: Path) -> None:
    other = simcc_model(tmp_path / "other.onnx", 26)
    with pytest.raises(InputError) as caught:
        weights.import_file(other, CARD)
    assert caught.value.code == "model-hash-mismatch"
    assert sha256(known) in caught.value.message
    with pytest.raises(InputError) as caught:
        weights.import_file(other)
    assert caught.value.code == "model-file-unknown"
    assert not weights.is_here(CARD)


@pytest.mark.usefixtures("cache")
def test_a_file_with_other_outputs_than_its_card_is_not_kept(simcc_model: Maker, tmp_path: Path) -> None:
    name = "rtmpose-s-halpe26"  # no hash is known of this one
    with pytest.raises(SetupError) as caught:
        weights.import_file(simcc_model(tmp_path / "m.onnx", 17), name)
    assert caught.value.code == "model-outputs-differ"
    assert not weights.is_here(name)
    good = simcc_model(tmp_path / "good.onnx", 26)
    assert weights.import_file(good, name) == name
    assert weights.known_sha256(name) == sha256(good)


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("content", [None, b"no model"])
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "m.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises((InputError, SetupError)) as caught:
        weights.import_file(file, "rtmpose-s-halpe26")
    assert caught.value.code == ("model-file-unreadable" if content is None else "model-unreadable")
    with pytest.raises(InputError) as caught:
        weights.import_file(file, "nonesuch")
    assert caught.value.code == "model-unknown"


def test_weights_that_changed_on_disk_are_noticed(known: Path) -> None:
    weights.import_file(known)
    (weights.weights_folder(CARD) / weights.MODEL_FILE).write_bytes(b"something else")
    with pytest.raises(SetupError) as caught:
        weights.weights_file(CARD)
    assert caught.value.code == "model-damaged"


# --- pull -------------------------------------------------------------------------------------------------------------


class Publisher(ThreadingHTTPServer):
    """Serves one content with ranges, and can break off after some bytes."""

    content = b""
    break_after: int | None = None
    asked: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Publisher  # pyright: ignore[reportIncompatibleVariableOverride]  # the handler is made by Publisher alone

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted else 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        rest = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest if self.server.break_after is None else rest[: self.server.break_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def publisher(known: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Publisher]:
    server = Publisher(("127.0.0.1", 0), Handler)
    server.asked = []
    archive = tmp_path / "published.zip"
    with zipfile.ZipFile(archive, "w") as z:
        z.write(known, "end2end.onnx")
    server.content = archive.read_bytes()
    card = cards.load_card(CARD)
    source = {**card["weights"], "sha256": sha256(known), "urls": [f"http://127.0.0.1:{server.server_port}/m.zip"]}
    give(monkeypatch, {**card, "weights": source})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def yes(_card: dict[str, Any]) -> bool:
    return True


def test_weights_are_downloaded_unpacked_and_checked(publisher: Publisher, known: Path) -> None:
    assert sha256(weights.pull(CARD, yes)) == sha256(known)
    assert len(publisher.asked) == 1
    weights.pull(CARD, yes)
    assert len(publisher.asked) == 1
    assert [p.name for p in weights.weights_folder(CARD).parent.iterdir()] == [CARD]


def test_a_download_goes_on_where_it_stopped(publisher: Publisher) -> None:
    publisher.break_after = 1000
    with pytest.raises(SetupError) as caught:
        weights.pull(CARD, yes)
    assert caught.value.code == "model-download-failed"
    publisher.break_after = None
    weights.pull(CARD, yes)
    assert publisher.asked == [None, "bytes=1000-"]
    assert weights.is_here(CARD)


def test_a_download_with_a_wrong_hash_leaves_nothing(publisher: Publisher) -> None:
    publisher.content = publisher.content.replace(b"simcc_x", b"simcc_z")
    with pytest.raises(SetupError) as caught:
        weights.pull(CARD, yes)
    assert caught.value.code in ("download-hash-mismatch", "model-download-failed")
    assert not weights.is_here(CARD)
    assert list(weights.weights_folder(CARD).parent.iterdir()) == []


def test_nothing_is_asked_of_the_network_without_consent(publisher: Publisher) -> None:
    with pytest.raises(SetupError) as caught:
        weights.pull(CARD, lambda card: not card["licence_text"])
    assert caught.value.code == "licence-not-accepted"
    assert publisher.asked == []


def test_no_network_is_explained_with_the_way_around_it(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert known
    card = cards.load_card(CARD)
    give(monkeypatch, {**card, "weights": {**card["weights"], "urls": ["http://127.0.0.1:9/m.zip"]}})
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(SetupError) as caught:
        weights.pull(CARD, yes)
    assert caught.value.code == "model-download-failed"
    assert "mocap models import" in caught.value.advice


@pytest.mark.usefixtures("cache")
def test_weights_without_a_known_hash_are_not_downloaded() -> None:
    with pytest.raises(InputError) as caught:
        weights.pull("rtmpose-s-halpe26", yes)
    assert caught.value.code == "model-import-only"
    assert "--as rtmpose-s-halpe26" in caught.value.advice


@pytest.mark.usefixtures("cache")
def test_pull_shows_the_licence_and_wants_a_yes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "pull", "rtmpose"]) == 1
    said = capsys.readouterr().err
    assert "trained on public data sets" in said
    assert "licence-not-accepted" in said
    assert "--accept-licence" in said


# --- names and devices ------------------------------------------------------------------------------------------------


def test_auto_is_rtmpose_once_model_and_detector_are_here(known: Path, fixed_model: Callable[..., Path]) -> None:
    assert models.resolve("auto") == "blazepose"
    before = models.identity_text("auto")
    weights.import_file(known)
    assert models.resolve("auto") == "blazepose"
    folder = weights.weights_folder("yolox-nano")
    dets = {"dets": np.zeros((1, 2, 5), np.float32), "labels": np.zeros((1, 2), np.int64)}
    fixed_model(folder / weights.MODEL_FILE, dets)
    assert models.resolve("auto") == models.resolve("rtmpose") == CARD
    assert models.identity_text("auto") != before


@pytest.mark.parametrize(("quality", "size"), [("preview", "t"), ("standard", "m"), ("best", "l")])
def test_quality_chooses_the_size(quality: str, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"yolox-tiny", *(f"rtmpose-{s}-halpe26" for s in "tml"), "rtmpose-x-body17"}
    monkeypatch.setattr(models, "is_here", lambda name: name in here)
    assert models.resolve("auto", quality) == f"rtmpose-{size}-halpe26"
    assert models.resolve("rtmpose-m-halpe26", quality) == "rtmpose-m-halpe26"


@pytest.mark.usefixtures("cache")
def test_rtmpose_without_weights_names_the_command() -> None:
    with pytest.raises(SetupError) as caught:
        models.make_estimator("rtmpose", NoProgress())
    assert caught.value.code == "model-missing"
    assert "mocap models pull rtmpose-m-halpe26" in caught.value.advice


@pytest.mark.usefixtures("cache")
def test_an_unknown_model_or_detector_is_refused(known: Path) -> None:
    with pytest.raises(InputError) as caught:
        models.resolve("nonesuch")
    assert caught.value.code == "model-unknown"
    assert "rtmpose-m-halpe26" in caught.value.advice
    weights.import_file(known)
    with pytest.raises(InputError) as caught:
        models.make_estimator(CARD, NoProgress(), detector="nonesuch")
    assert caught.value.code == "model-unknown"


def test_a_graphics_card_that_is_not_there_is_said(known: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert onnx_model.choose_device("auto") == "cpu"
    with pytest.raises(SetupError) as caught:
        onnx_model.choose_device("cuda")
    assert caught.value.code == "gpu-absent"
    with pytest.raises(InputError) as unknown:
        onnx_model.choose_device("toaster")
    assert unknown.value.code == "device-unknown"
    with pytest.raises(SetupError) as caught:
        models.make_estimator("blazepose", NoProgress(), device="cuda")
    assert caught.value.code == "gpu-absent"
    for device, code in (("cuda", "gpu-absent"), ("toaster", "device-unknown")):
        with pytest.raises(MocapError) as first:  # whose weights are not here either
            models.make_estimator("rtmpose-m-halpe26", NoProgress(), device=device)
        assert first.value.code == code
    with pytest.raises(SetupError) as caught:
        onnx_model.choose_device("coreml")
    assert "Mac" in caught.value.advice


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("name", ["auto", "blazepose"])
def test_a_graphics_card_without_rtmposes_weights_is_explained_by_these(name: str) -> None:
    with pytest.raises(InputError) as unknown:
        models.make_estimator(name, NoProgress(), device="toaster")
    assert unknown.value.code == "device-unknown"
    with pytest.raises(SetupError) as caught:
        models.make_estimator(name, NoProgress(), device="cuda")
    assert caught.value.code == "gpu-absent"
    assert "mocap models pull rtmpose" in caught.value.advice
    assert ("weights of RTMPose" in caught.value.message) == (name == "auto")


@pytest.mark.usefixtures("cache")
def test_the_list_says_what_is_here_and_how_to_get_the_rest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    assert "rtmpose-m-halpe26" in said
    assert "mocap models import FILE --as rtmpose-s-halpe26" in said
    assert "mocap models setup-mmpose" in said
    assert main(["models", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mmpose"]["is_here"] is False

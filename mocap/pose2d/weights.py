"""Model weights in the user's cache: downloaded with consent to their licence, or brought as a file; always by hash.

Nothing is shipped. A download goes on where an earlier one stopped, is taken from the first address that answers, and
is kept only when the model file inside has the hash of its card. Cards whose hash nobody published can only be
imported; the hash seen then is kept beside the file and holds from then on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mocap.core.errors import InputError, SetupError
from mocap.core.progress import NoProgress, Progress
from mocap.media.cache import cache_dir, publish_folder
from mocap.pose2d.cards import card_names, load_card
from mocap.pose2d.onnx_model import OnnxModel, expected_outputs

MODEL_FILE = "end2end.onnx"
TIMEOUT_S = 30.0
_CHUNK = 1 << 18

Consent = Callable[[dict[str, Any]], bool]
"""Shows a card's licence and returns whether the user accepts it."""


def weights_folder(name: str) -> Path:
    """Return where a model's weights are kept."""
    return cache_dir() / "models" / name


def is_here(name: str) -> bool:
    """Return whether a model's weights are on this machine."""
    return (weights_folder(name) / MODEL_FILE).is_file()


def weights_file(name: str) -> Path:
    """Return a model's weights after checking their hash. Raises SetupError model-missing, model-damaged."""
    file = weights_folder(name) / MODEL_FILE
    if not file.is_file():
        raise SetupError(
            "model-missing",
            f"The weights of {name} are not on this machine ({file}).",
            f"Run `mocap models pull {name}`, or `mocap models import FILE` with the file from another machine.",
        )
    expected, got = known_sha256(name), _sha256(file)
    if got != expected:
        raise SetupError(
            "model-damaged",
            f"{file}: expected weights with sha256 {expected}, got {got}.",
            f"Delete the folder {file.parent} and run `mocap models pull {name}` again.",
        )
    return file


def known_sha256(name: str) -> str:
    """Return the hash that a model's file must have: its card's, else the one seen when it was imported."""
    told = load_card(name)["weights"]["sha256"]
    record = weights_folder(name) / "record.json"
    return told or (json.loads(record.read_text("utf-8"))["sha256"] if record.is_file() else "")


def pull(name: str, consent: Consent, progress: Progress | None = None) -> Path:
    """Return a model's weights, downloaded if they are not here.

    Raises: SetupError licence-not-accepted, model-download-failed, download-hash-mismatch, cache-not-writable;
    InputError model-import-only (no address or no hash is known).
    """
    if is_here(name):
        return weights_file(name)
    card = load_card(name)
    source = card["weights"]
    if not source["urls"] or not source["sha256"]:
        raise InputError(
            "model-import-only",
            f"{name} cannot be downloaded by this program: no {'address' if not source['urls'] else 'hash'} of its "
            f"weights is known that could be checked. {' '.join(source['urls'][:1])}",
            f"Download the file yourself and run `mocap models import FILE --as {name}`.",
        )
    if not consent(card):
        raise SetupError(
            "licence-not-accepted",
            f"{name} was not downloaded: the licence of its weights was not accepted.",
            f"Run `mocap models pull {name}` and answer yes, or add --accept-licence.",
        )
    partial = cache_dir() / "models" / f".{name}.part"
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        _download(name, source, partial, progress or NoProgress())
        try:
            _keep(name, partial, source["sha256"])
        except InputError as error:
            partial.unlink(missing_ok=True)
            raise SetupError(
                "download-hash-mismatch",
                f"{error.message} Nothing was kept.",
                "Run the command again; if it happens again, the publisher's file has changed.",
            ) from error
        partial.unlink(missing_ok=True)
    except OSError as error:
        raise SetupError(
            "cache-not-writable",
            f"{partial.parent}: downloaded files cannot be kept there: {error}.",
            "Free some space or set the environment variable MOCAP_CACHE to a folder that you may write to.",
        ) from error
    return weights_file(name)


def import_file(file: Path, name: str | None = None) -> str:
    """Take weights from a file that the user brought (ONNX, or a ZIP file with one inside); return the model's name.

    Args:
        file: the file.
        name: which model it is; found by its hash when absent.

    Raises: InputError model-file-unreadable, model-file-unknown, model-unknown, model-hash-mismatch; SetupError
    model-unreadable, model-outputs-differ, cache-not-writable. Nothing is kept then.
    """
    if name is not None and name not in importable():
        raise InputError(
            "model-unknown", f"There is no model {name!r} to import.", f"Use one of: {', '.join(importable())}."
        )
    if name is not None:
        return _keep(name, file, load_card(name)["weights"]["sha256"])
    with tempfile.TemporaryDirectory(prefix="mocap-import-") as folder:
        got = _sha256(_model_inside(file, Path(folder)))
    for known in importable():
        if load_card(known)["weights"]["sha256"] == got:
            return _keep(known, file, got)
    raise InputError(
        "model-file-unknown",
        f"{file}: the model inside has sha256 {got}, which is none that this program knows.",
        f"Say which model it is with `--as NAME`; without a known hash are: {', '.join(_without_hash())}.",
    )


def importable() -> tuple[str, ...]:
    """Return the models that have a weights file."""
    return tuple(name for name in card_names() if "weights" in load_card(name))


def _without_hash() -> list[str]:
    return [name for name in importable() if not load_card(name)["weights"]["sha256"]]


def _keep(name: str, file: Path, sha256: str) -> str:
    """Publish the model in a file if it has the hash (empty: any). Raises InputError model-hash-mismatch."""

    def fill(folder: Path) -> None:
        target = folder / MODEL_FILE
        inside = _model_inside(file, folder)
        if inside == file:
            shutil.copyfile(file, target)
        got = _sha256(target)
        if sha256 and got != sha256:
            raise InputError(
                "model-hash-mismatch",
                f"{file}: this is not the file of {name}: expected sha256 {sha256}, got {got}.",
                "Get the file again from its publisher.",
            )
        OnnxModel(target, expected_outputs(load_card(name)))
        (folder / "record.json").write_text(json.dumps({"sha256": got}), encoding="utf-8")

    publish_folder(weights_folder(name), fill)
    return name


def _model_inside(file: Path, folder: Path) -> Path:
    """Return a file's ONNX model: itself, or what its ZIP archive holds, unpacked into `folder`."""
    try:
        if not zipfile.is_zipfile(file):
            if not file.is_file():
                raise FileNotFoundError(2, "no such file")
            return file
        with zipfile.ZipFile(file) as archive:
            names = [n for n in archive.namelist() if n.lower().endswith(".onnx")]
            if len(names) != 1:
                raise zipfile.BadZipFile(f"expected one .onnx file inside, got {len(names)}")
            target = folder / MODEL_FILE
            with archive.open(names[0]) as member, target.open("wb") as out:
                shutil.copyfileobj(member, out)
            return target
    except (zipfile.BadZipFile, FileNotFoundError, PermissionError, IsADirectoryError) as error:
        raise InputError(
            "model-file-unreadable",
            f"{file}: cannot be read: {error}.",
            "Give an .onnx file or the publisher's .zip file.",
        ) from error


def _download(name: str, source: dict[str, Any], partial: Path, progress: Progress) -> None:
    """Fill `partial` from the first address that works; what is there already is kept."""
    # Networking is imported by the one command that needs it.
    from http.client import HTTPException

    failures: list[str] = []
    for url in source["urls"]:
        try:
            _fetch(url, partial, f"Downloading {name} ({source.get('size_mb', '?')} MB)", progress)
        except (OSError, HTTPException) as error:
            if partial.exists() and not _is_network(error):
                raise
            failures.append(f"{url}: {error}")
            continue
        return
    raise SetupError(
        "model-download-failed",
        f"The weights of {name} could not be downloaded. {' '.join(failures)}",
        "Connect to the network and run again (it goes on where it stopped), or download the file on any machine, "
        "bring it here and run `mocap models import FILE`.",
    )


def _is_network(error: BaseException) -> bool:
    from http.client import HTTPException
    from urllib.error import URLError

    return isinstance(error, URLError | HTTPException | TimeoutError | ConnectionError)


def _fetch(url: str, partial: Path, label: str, progress: Progress) -> None:
    """Download an address into a file, going on behind what the file holds already."""
    from http.client import IncompleteRead
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    start = partial.stat().st_size if partial.exists() else 0
    request = Request(url, headers={"User-Agent": "mocap-studio"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        response = urlopen(request, timeout=TIMEOUT_S)
    except HTTPError as error:
        if error.code == 416 and start:  # the file was complete
            return
        raise
    with response:
        if response.status != 206:
            start = 0
        left = response.headers.get("Content-Length")
        progress.start(label, start + float(left) if left else None)
        try:
            progress.advance(float(start))
            got = 0
            with partial.open("ab" if start else "wb") as out:
                while chunk := response.read(_CHUNK):
                    out.write(chunk)
                    got += len(chunk)
                    progress.advance(float(len(chunk)))
            if left and got < int(left):
                raise IncompleteRead(b"", int(left) - got)
        finally:
            progress.finish()


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

"""Frozen dataclasses of arrays as JSON plus `.npy` arrays, and back. No pickle: an artifact cannot run code.

Arrays are taken out of the value and named by their path in it; everything else becomes JSON with tagged objects:
{"$array": name}, {"$type": "module:Class", "fields": {...}}, {"$tuple": [...]}, {"$map": [[key, value], ...]},
{"$float": "nan"}, {"$fraction": "60000/1001"}, {"$path": "..."}, {"$enum": "module:Class", "value": ...}.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import numpy as np

OWN_PACKAGES = ("mocap", "calibration", "exporters", "sessions")
"""Types are looked up in these packages only."""


class CodecError(ValueError):
    """The stored text does not describe a value of the types this version of the program knows."""


def encode(value: Any) -> tuple[Any, dict[str, np.ndarray]]:
    """Return (JSON tree, arrays by name). Raises CodecError for a type that has no stored form."""
    arrays: dict[str, np.ndarray] = {}
    return _encode(value, "value", arrays), arrays


def _encode(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        array = cast("np.ndarray", value)
        if array.dtype.hasobject:
            raise CodecError(f"{path}: arrays of objects cannot be stored")
        arrays[path] = array
        return {"$array": path}
    if isinstance(value, np.generic):
        return _encode(value.item(), path, arrays)
    if isinstance(value, Enum):
        return {"$enum": _type_name(type(value), path), "value": value.value}
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(value)}
    return _encode_container(value, path, arrays)


def _encode_container(value: Any, path: str, arrays: dict[str, np.ndarray]) -> Any:
    if isinstance(value, Fraction):
        return {"$fraction": str(value)}
    if isinstance(value, Path):
        return {"$path": str(value)}
    if isinstance(value, list | tuple):
        items = [_encode(v, f"{path}.{i}", arrays) for i, v in enumerate(cast("Sequence[Any]", value))]
        return {"$tuple": items} if isinstance(value, tuple) else items
    if isinstance(value, Mapping):
        pairs = [
            [_encode(k, f"{path}.key{i}", arrays), _encode(v, f"{path}.{i}", arrays)]
            for i, (k, v) in enumerate(cast("Mapping[Any, Any]", value).items())
        ]
        return {"$map": pairs}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _encode(getattr(value, f.name), f"{path}.{f.name}", arrays) for f in _stored_fields(value)}
        return {"$type": _type_name(type(value), path), "fields": fields}
    raise CodecError(f"{path}: {type(value).__name__} has no stored form")


def _stored_fields(value: Any) -> list[dataclasses.Field[Any]]:
    return [f for f in dataclasses.fields(value) if f.init]


def _type_name(cls: type, path: str) -> str:
    if cls.__module__.split(".")[0] not in OWN_PACKAGES or "." in cls.__qualname__:
        raise CodecError(f"{path}: {cls.__module__}.{cls.__qualname__} has no stored form")
    return f"{cls.__module__}:{cls.__qualname__}"


def decode(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return the value. Raises CodecError when the text, an array or a type does not fit this version."""
    try:
        return _decode(tree, arrays)
    except (KeyError, TypeError, ValueError, AttributeError, ImportError) as error:
        raise CodecError(f"stored value cannot be read: {error}") from error


def _decode(tree: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    if isinstance(tree, list):
        return [_decode(v, arrays) for v in cast("list[Any]", tree)]
    if not isinstance(tree, dict):
        return tree
    tagged = cast("dict[str, Any]", tree)
    tag = next((t for t in _DECODERS if t in tagged), None)
    if tag is None:
        raise CodecError(f"unknown tag {sorted(tagged)}")
    return _DECODERS[tag](tagged, arrays)


def _decode_object(tree: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Any:
    return _type(tree["$type"])(**{k: _decode(v, arrays) for k, v in tree["fields"].items()})


_DECODERS: dict[str, Callable[[Mapping[str, Any], Mapping[str, np.ndarray]], Any]] = {
    "$array": lambda tree, arrays: arrays[tree["$array"]],
    "$type": _decode_object,
    "$enum": lambda tree, arrays: _type(tree["$enum"])(tree["value"]),
    "$tuple": lambda tree, arrays: tuple(_decode(v, arrays) for v in tree["$tuple"]),
    "$map": lambda tree, arrays: {_decode(k, arrays): _decode(v, arrays) for k, v in tree["$map"]},
    "$float": lambda tree, arrays: float(tree["$float"]),
    "$fraction": lambda tree, arrays: Fraction(tree["$fraction"]),
    "$path": lambda tree, arrays: Path(tree["$path"]),
}


def _type(name: str) -> type:
    module, _, cls = name.partition(":")
    found = getattr(importlib.import_module(module), cls) if module.split(".")[0] in OWN_PACKAGES else None
    if not isinstance(found, type) or not (dataclasses.is_dataclass(found) or issubclass(found, Enum)):
        raise CodecError(f"{name} is not a data type of this program")
    return found

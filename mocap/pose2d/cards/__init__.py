"""Model cards: what each 2D keypoint model is, where its weights come from and how its output is read (TOML)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib import resources
from typing import Any


def card_names() -> tuple[str, ...]:
    """Return the names of the models that the product knows."""
    files = resources.files("mocap.pose2d.cards").iterdir()
    return tuple(sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml")))


@cache
def load_card(name: str) -> dict[str, Any]:
    """Return a model's card. Raises KeyError naming the available ones."""
    if name not in card_names():
        raise KeyError(f"no model {name!r}; available: {', '.join(card_names())}")
    return tomllib.loads(resources.files("mocap.pose2d.cards").joinpath(f"{name}.toml").read_text("utf-8"))

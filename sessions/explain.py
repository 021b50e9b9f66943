"""What is stored of a take's stages and where it came from, without computing anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sessions.folder import Session, Take
from sessions.process import settings_of, take_sources
from sessions.runner import stage_keys
from sessions.stages import FROM_FOOTAGE


@dataclass(frozen=True)
class StageState:
    """One stage of one take."""

    stage: str
    version: int
    state: str
    """`done`, `partly` (some cameras) or `to do`."""
    config: Mapping[str, Any]
    inputs: Mapping[str, str]
    """Key by input."""
    identity: str | None
    seconds: float | None
    """Time that making it took, without storing it. Of a stage that works camera by camera, those of its `items` are
    added up, whichever run made them: cameras that were worked on side by side passed in less."""
    items: int | None
    """Cameras of which it is stored; None for a stage that takes all of them together."""
    made: str | None
    artifacts: tuple[str, ...]
    """Folders, relative to the take's."""

    def to_json(self) -> dict[str, Any]:
        """Return the state as a JSON object."""
        return {**self.__dict__, "config": dict(self.config), "inputs": dict(self.inputs)}


def stage_states(session: Session, take: Take) -> list[StageState]:
    """Return the state of every stage. Raises what `take_sources` raises."""
    sources, _ = take_sources(session, take)
    config = settings_of(session, take)
    nodes = stage_keys(FROM_FOOTAGE, sources, config)
    out: list[StageState] = []
    for stage in FROM_FOOTAGE:
        node = nodes[stage.name]
        keys = [node.key] if node.items is None else list(node.items.values())
        found = [about for key in keys if (about := take.store.about(stage.name, key)) is not None]
        chosen = {name: config[name] for name in stage.config}
        out.append(
            StageState(
                stage=stage.name,
                version=stage.version,
                state="done" if len(found) == len(keys) else "partly" if found else "to do",
                config=chosen,
                inputs={name: nodes[name].key for name in stage.inputs},
                identity=stage.identity(chosen) if stage.identity else None,
                seconds=sum(a["seconds"] for a in found) if found else None,
                items=None if node.items is None else len(found),
                made=max(a["made"] for a in found) if found else None,
                artifacts=tuple(
                    take.store.place(stage.name, k).relative_to(take.folder).as_posix() for k in keys if found
                ),
            )
        )
    return out

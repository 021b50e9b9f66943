"""Runs a stage table: reuses stored artifacts whose key fits, computes and stores the others.

key(stage) = hash(stage name and version, the config it reads, keys of its inputs, identity of its model). Progress,
cancellation and the number of threads are passed beside the data and cannot change a result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mocap.core.errors import InputError
from mocap.core.progress import Progress
from sessions.side_by_side import SideBySide, all_of
from sessions.store import ArtifactStore, content_key

Config = Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """One row of a stage table: a plain function of its named inputs and of the config it declares."""

    name: str
    version: int
    """Raised whenever the function's result may change."""
    inputs: tuple[str, ...]
    """Names of sources and of earlier stages."""
    run: Callable[[Mapping[str, Any], Config, Progress], Any]
    """(inputs by name, config, progress) -> value. For `each`: inputs hold one item of each input that has items."""
    config: tuple[str, ...] = ()
    """Config keys that it reads; it is given no others."""
    each: bool = False
    """Run once per item (camera) of the inputs that have items; the value is a dict by item name."""
    identity: Callable[[Config], str] | None = None
    """What else makes the result: the model, its weights and runtime."""
    label: str = ""
    """What a person reads while it runs."""
    keeps_parts: bool = False
    """Its inputs also have `unfinished`: the folder where it keeps parts of its result and finds those of a run that
    was killed; None where nothing is stored."""


@dataclass(frozen=True)
class Node:
    """A value with the key of its content; per-camera values have a key per camera as well."""

    value: Any
    key: str
    items: Mapping[str, str] | None = None


def source(value: Any, fingerprint: Any) -> Node:
    """Return an input from outside the table, identified by what `fingerprint` holds (JSON-like)."""
    return Node(value, content_key(fingerprint))


def source_items(values: Mapping[str, Any], fingerprints: Mapping[str, Any]) -> Node:
    """Return an input that has one item per camera."""
    keys = {name: content_key(fingerprints[name]) for name in values}
    return Node(dict(values), content_key(keys), keys)


@dataclass(frozen=True)
class StageRecord:
    """What happened to one stage (or to one camera of it)."""

    stage: str
    item: str | None
    key: str
    reused: bool
    seconds: float
    """Time spent in this run; reading a stored artifact counts."""


@dataclass
class RunResult:
    """Values by stage, and how each came about."""

    nodes: dict[str, Node]
    records: list[StageRecord] = field(default_factory=list[StageRecord])
    wall_s: dict[str, float] = field(default_factory=dict[str, float])
    """Elapsed time by stage, in the table's order."""

    def __getitem__(self, stage: str) -> Any:
        return self.nodes[stage].value

    @property
    def reused(self) -> set[str]:
        """Stages of which nothing had to be computed."""
        return {r.stage for r in self.records} - {r.stage for r in self.records if not r.reused}


@dataclass(frozen=True)
class _Job:
    stage: Stage
    item: str | None
    inputs: Mapping[str, Any]
    config: dict[str, Any]
    key: str
    about: dict[str, Any]


def run_stages(
    table: Sequence[Stage],
    sources: Mapping[str, Node],
    config: Config,
    progress: Progress,
    *,
    store: ArtifactStore | None = None,
    threads: int = 1,
    recompute_from: str | None = None,
    until: str | None = None,
) -> RunResult:
    """Run the table in order and return every stage's value.

    Args:
        table: Stages, each after the ones it reads.
        sources: Inputs from outside, see `source`.
        config: Options by name; each stage sees the ones it declares.
        progress: Told about every stage; may raise Cancelled, after which finished stages stay stored.
        store: Where artifacts are kept; None: nothing is kept.
        threads: How many cameras of an `each` stage run at once.
        recompute_from: Ignore stored artifacts of this stage and of all that depend on it.
        until: Stop after this stage.

    Raises:
        InputError: `unknown-stage`.
        MocapError: Whatever a stage raises; the stages before it stay stored.
    """
    names = [s.name for s in table]
    for asked in (recompute_from, until):
        if asked is not None and asked not in names:
            raise InputError("unknown-stage", f"There is no stage {asked!r}.", f"Choose one of: {', '.join(names)}.")
    result = RunResult(dict(sources))
    stale: set[str] = set()
    for stage in table:
        if stage.name == recompute_from or stale.intersection(stage.inputs):
            stale.add(stage.name)
        began_s = time.perf_counter()
        items = _item_names(stage, result.nodes)
        progress.start(stage.label or stage.name, None if items is None else float(len(items)))
        try:
            _run_stage(stage, result, config, progress, store, threads, stage.name in stale)
        finally:
            progress.finish()
        result.wall_s[stage.name] = time.perf_counter() - began_s
        if stage.name == until:
            break
    return result


def stage_keys(table: Sequence[Stage], sources: Mapping[str, Node], config: Config) -> dict[str, Node]:
    """Return nodes without values for every stage: the keys under which a run would find or store its artifacts."""
    nodes = dict(sources)
    for stage in table:
        items = _item_names(stage, nodes)
        if items is None:
            nodes[stage.name] = Node(None, _key(stage, None, nodes, config))
        else:
            keys = {item: _key(stage, item, nodes, config) for item in items}
            nodes[stage.name] = Node(None, content_key(keys), keys)
    return nodes


def _run_stage(
    stage: Stage,
    result: RunResult,
    config: Config,
    progress: Progress,
    store: ArtifactStore | None,
    threads: int,
    stale: bool,
) -> None:
    items = _item_names(stage, result.nodes)
    jobs = [_job(stage, item, result.nodes, config) for item in (items if items is not None else [None])]

    cameras = SideBySide(progress)

    def work(job: _Job) -> tuple[Any, StageRecord]:
        if job.item is None:
            return _run_job(job, progress, store, stale)
        part = cameras.part()
        done = _run_job(job, part, store, stale)
        part.close()
        return done

    done = all_of(work, jobs, threads) if threads > 1 and len(jobs) > 1 else [work(job) for job in jobs]
    result.records += [record for _, record in done]
    if items is None:
        result.nodes[stage.name] = Node(done[0][0], jobs[0].key)
    else:
        keys = {item: job.key for item, job in zip(items, jobs, strict=True)}
        values = {item: value for item, (value, _) in zip(items, done, strict=True)}
        result.nodes[stage.name] = Node(values, content_key(keys), keys)


def _run_job(job: _Job, progress: Progress, store: ArtifactStore | None, stale: bool) -> tuple[Any, StageRecord]:
    began_s = time.perf_counter()
    if store is not None and not stale and (found := store.load(job.stage.name, job.key)) is not None:
        record = StageRecord(job.stage.name, job.item, job.key, True, time.perf_counter() - began_s)
        return found.value, record
    inputs = dict(job.inputs)
    if job.stage.keeps_parts:
        if store is not None and stale:
            store.clear_unfinished(job.stage.name, job.key)
        inputs["unfinished"] = None if store is None else store.unfinished(job.stage.name, job.key)
    value = job.stage.run(inputs, job.config, progress)
    seconds = time.perf_counter() - began_s
    if store is not None:
        about = {**job.about, "seconds": round(seconds, 4), "made": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        store.save(job.stage.name, job.key, value, about)
        if job.stage.keeps_parts:
            store.clear_unfinished(job.stage.name, job.key)
    return value, StageRecord(job.stage.name, job.item, job.key, False, time.perf_counter() - began_s)


def _item_names(stage: Stage, nodes: Mapping[str, Node]) -> list[str] | None:
    """Return the items that an `each` stage runs over: those of the first of its inputs that has any."""
    if not stage.each:
        return None
    for name in stage.inputs:
        items = nodes[name].items
        if items is not None:
            return list(items)
    raise ValueError(f"stage {stage.name} runs per item, but none of its inputs has items")


def _job(stage: Stage, item: str | None, nodes: Mapping[str, Node], config: Config) -> _Job:
    inputs = {n: _part(nodes[n], item) for n in stage.inputs}
    chosen = {name: config[name] for name in stage.config}
    key = _key(stage, item, nodes, config)
    about = {
        "stage": stage.name,
        "version": stage.version,
        "item": item,
        "key": key,
        "config": chosen,
        "inputs": {n: _part_key(nodes[n], item) for n in stage.inputs},
        "identity": stage.identity(chosen) if stage.identity else None,
    }
    return _Job(stage, item, inputs, chosen, key, about)


def _key(stage: Stage, item: str | None, nodes: Mapping[str, Node], config: Config) -> str:
    chosen = {name: config[name] for name in stage.config}
    inputs = {n: _part_key(nodes[n], item) for n in stage.inputs}
    identity = stage.identity(chosen) if stage.identity else None
    return content_key(stage.name, stage.version, chosen, inputs, identity, item)


def _part(node: Node, item: str | None) -> Any:
    return node.value[item] if item is not None and node.items is not None else node.value


def _part_key(node: Node, item: str | None) -> str:
    return node.items[item] if item is not None and node.items is not None else node.key

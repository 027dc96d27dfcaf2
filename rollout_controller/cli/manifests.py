"""Objects of Kubernetes in YAML files, with the lines on which their fields stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from rollout_controller.core.patch import Json

STDIN: Final = "-"
_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_KUSTOMIZATIONS: Final = frozenset({"kustomization.yaml", "kustomization.yml"})
_STEP: Final = re.compile(r'\.?([^.\[\]]+)|\[(\d+)\]|\["([^"]*)"\]')


class Unusable(Exception):
    """Input that cannot be read; each line names the file, where in it, and what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object of a file. `namespace` is its own, or its kustomization's, None if neither says one."""

    file: str
    obj: Json
    namespace: str | None
    node: yaml.Node = field(repr=False)

    @property
    def kind(self) -> str:
        return str(self.obj.get("kind"))

    @property
    def group(self) -> str:
        """The API group, "" for the core."""
        return str(self.obj.get("apiVersion") or "").rpartition("/")[0]

    @property
    def metadata(self) -> Json:
        """The metadata, empty if there are none, or if they are no mapping."""
        return _metadata(self.obj)

    @property
    def name(self) -> str:
        return str(self.metadata.get("name") or "")

    def line(self, path: str) -> int:
        """The line of a field like `spec.http[0].route[1].weight`, or of the nearest one around it."""
        node, line = self.node, self.node.start_mark.line
        for match in _STEP.finditer(path):
            key, index, quoted = match.groups()
            found = _entry(node, int(index)) if index else _member(node, key or quoted or "")
            if found is None:
                break
            line, node = found
        return line + 1


def _member(node: yaml.Node, key: str) -> tuple[int, yaml.Node] | None:
    pairs = node.value if isinstance(node, yaml.MappingNode) else ()
    return next(((k.start_mark.line, v) for k, v in pairs if k.value == key), None)


def _entry(node: yaml.Node, index: int) -> tuple[int, yaml.Node] | None:
    entries = node.value if isinstance(node, yaml.SequenceNode) else ()
    return (entries[index].start_mark.line, entries[index]) if index < len(entries) else None


class _Loader(yaml.SafeLoader):
    """YAML as the API server reads it: a time is a string."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_manifests(inputs: Sequence[str], stdin: Iterable[str] = ()) -> list[Manifest]:
    """All objects in these files and directories (`-` is `stdin`). Raises Unusable for all that is wrong.

    A directory is read with all below it, but for names that begin with a dot. Documents that are no objects
    (without apiVersion and kind, such as values of a chart) are passed over, kustomizations are heeded.
    """
    wrong: list[str] = []
    documents: list[tuple[str, yaml.Node, Any]] = []
    for name in dict.fromkeys(inputs):
        try:
            for file in _files(name):
                text = "".join(stdin) if file == STDIN else _text(file)
                documents += [(file, node, value) for node, value in _documents(file, text)]
        except Unusable as problem:
            wrong.append(str(problem))
    if wrong:
        raise Unusable("\n".join(wrong))
    places = _places(documents)
    return [
        Manifest(file, obj, _metadata(obj).get("namespace") or places.get(_folder(file)), node)
        for file, root, value in documents
        for node, obj in _objects(root, value)
    ]


def _files(name: str) -> list[str]:
    path = Path(name)
    if name == STDIN or path.is_file():
        return [name]
    if not path.is_dir():
        raise Unusable(f"{name}: no such file or directory")
    below = sorted(p for p in path.rglob("*") if p.suffix in _SUFFIXES and p.is_file())
    shown = [p for p in below if not any(part.startswith(".") for part in p.relative_to(path).parts)]
    if not shown:
        raise Unusable(f"{name}: no *.yaml or *.yml in this directory or below it")
    return [str(p) for p in shown]


def _text(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise Unusable(f"{file}: cannot be read as text: {problem}") from problem


def _documents(file: str, text: str) -> Iterator[tuple[yaml.Node, Any]]:
    loader = _Loader(text)
    try:
        while loader.check_node():
            node = loader.get_node()
            if node is not None:
                yield node, loader.construct_document(node)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark is not None else file
        why = getattr(problem, "problem", None) or problem
        hint = "; render templates first, as with helm template" if "{{" in text else ""
        raise Unusable(f"{where}: no valid YAML: {why}{hint}") from problem
    finally:
        loader.dispose()


def _objects(node: yaml.Node, value: Any) -> Iterator[tuple[yaml.Node, Json]]:
    """The objects of a document: itself, or the items of a List."""
    if not isinstance(value, dict) or not value.get("apiVersion") or not value.get("kind"):
        return
    items = value.get("items")
    if str(value["kind"]).endswith("List") and isinstance(items, list):
        found = _member(node, "items")
        for index, item in enumerate(items):
            below = _entry(found[1], index) if found is not None else None
            if below is not None:
                yield from _objects(below[1], item)
    else:
        yield node, value


def _places(documents: Iterable[tuple[str, yaml.Node, Any]]) -> dict[str, str]:
    """The namespace that the kustomization of a folder gives to what is in it."""
    return {
        _folder(file): value["namespace"]
        for file, _, value in documents
        if Path(file).name in _KUSTOMIZATIONS
        and isinstance(value, dict)
        and isinstance(value.get("namespace"), str)
    }


def _metadata(obj: Json) -> Json:
    metadata = obj.get("metadata")
    return metadata if isinstance(metadata, dict) else {}


def _folder(file: str) -> str:
    return str(Path(file).parent)

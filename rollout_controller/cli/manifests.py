"""Objects of Kubernetes in YAML files, with the lines on which their fields stand."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import yaml

from rollout_controller.core.patch import Json

STDIN: Final = "-"
_SUFFIXES: Final = frozenset({".yaml", ".yml"})
_KUSTOMIZATIONS: Final = frozenset({"kustomization.yaml", "kustomization.yml"})
_NO_OBJECTS: Final = _KUSTOMIZATIONS | {"Chart.yaml", "values.yaml", "values.yml"}
"""Files of kustomize and helm, which say things of other files."""
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


@dataclass(frozen=True, slots=True)
class Stray:
    """A document that is no object, though it should be one: what it is called, and what is wrong with it."""

    file: str
    line: int
    title: str
    path: str
    sentence: str
    fix: str
    severity: Literal["error", "warning"] = "error"


@dataclass(frozen=True, slots=True)
class Manifests:
    """All that the files say. `resources` are, by folder, the files that its kustomization lists."""

    objects: tuple[Manifest, ...]
    strays: tuple[Stray, ...] = ()
    resources: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def together(self, one: str, other: str) -> bool:
        """Whether what these files hold is applied side by side: no patch, and no folder of another
        environment."""
        listed = all(f in self.resources.get(_folder(f), (f,)) for f in (one, other))
        return listed and _folder(one) == _folder(other)


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


def read_manifests(inputs: Sequence[str], stdin: Iterable[str] = ()) -> Manifests:
    """All objects in these files and directories (`-` is `stdin`). Raises Unusable for all that is wrong.

    A directory is read with all below it, but for names that begin with a dot. Mappings that do not look like
    an object, such as values of a chart and patches, are passed over; kustomizations are heeded.
    """
    wrong: list[str] = []
    documents: list[tuple[str, yaml.Node, Any]] = []
    strays: list[Stray] = []
    read: set[str] = set()
    for name in dict.fromkeys(inputs):
        try:
            for file in _files(name):
                if str(Path(file).resolve()) in read:
                    continue
                read.add(str(Path(file).resolve()))
                text = "".join(stdin) if file == STDIN else _text(file)
                found = [(file, node, value) for node, value in _documents(file, text) if value is not None]
                documents += found
                if not found and Path(file).name not in _NO_OBJECTS:
                    strays.append(_empty(file, text, named=file == name))
        except Unusable as problem:
            wrong.append(str(problem))
    if wrong:
        raise Unusable("\n".join(wrong))
    places = _places(documents)
    objects = []
    for file, root, value in documents:
        for node, part in _parts(root, value):
            if _is_object(part):
                place = _metadata(part).get("namespace") or places.get(_folder(file))
                objects.append(Manifest(file, part, str(place) if place else None, node))
            elif Path(file).name not in _NO_OBJECTS:
                strays += _stray(file, node.start_mark.line + 1, part)
    return Manifests(tuple(objects), tuple(strays), _resources(documents))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and bool(value.get("apiVersion")) and bool(value.get("kind"))


def _empty(file: str, text: str, *, named: bool) -> Stray:
    """A file without a document; one of a directory that has nothing but comments may well be meant so."""
    severity: Literal["error", "warning"] = "error" if named or not text.strip() else "warning"
    what = "nothing but comments" if text.strip() else "empty"
    hint = "See why the command before printed nothing." if file == STDIN else "Fill it, or remove it."
    return Stray(file, 1, "File", "", f"it is {what}, so there is nothing to check", hint, severity)


def _stray(file: str, line: int, value: Any) -> Iterator[Stray]:
    """What is wrong with a document that is no object; nothing if it need not be one."""
    if not isinstance(value, dict):
        patch = isinstance(value, list) and value and all(isinstance(v, dict) and "op" in v for v in value)
        if not patch:
            what = "a list" if isinstance(value, list) else f"the single value {value!r}"
            fix = "Write a mapping with apiVersion and kind; several are divided by ---."
            yield Stray(file, line, "Document", "", f"expected an object, found {what}", fix)
        return
    name = _metadata(value).get("name")
    given = [str(value[key]) for key in ("apiVersion", "kind") if value.get(key)]
    if not given and not name:
        return
    for key, like in (("apiVersion", "apps/v1"), ("kind", "Deployment")):
        if not value.get(key):
            title = " ".join([*given, *([str(name)] if name else [])])
            yield Stray(file, line, title, key, "there is none, so it is no object", f"Add it, like {like}.")


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
                twice = _twice(node)
                if twice is not None:
                    key, line = twice
                    hint = "; divide objects by ---" if key in {"apiVersion", "kind"} else ""
                    raise Unusable(f"{file}:{line}: the key {key} is given twice in one mapping{hint}")
                yield node, loader.construct_document(node)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark is not None else file
        why = getattr(problem, "problem", None) or problem
        hint = "; render templates first, as with helm template" if "{{" in text else ""
        raise Unusable(f"{where}: no valid YAML: {why}{hint}") from problem
    finally:
        loader.dispose()


def _twice(node: yaml.Node) -> tuple[str, int] | None:
    """The first key of an object that one mapping has twice, which kubectl refuses, with its line.

    A document that is no object, such as values of a chart, may be as it likes.
    """
    if _member(node, "apiVersion") is None or _member(node, "kind") is None:
        return None
    found: list[tuple[int, str]] = []
    below = [node]
    walked: set[int] = set()
    while below:
        one = below.pop()
        if id(one) in walked:  # an alias
            continue
        walked.add(id(one))
        if isinstance(one, yaml.SequenceNode):
            below += one.value
        elif isinstance(one, yaml.MappingNode):
            keys = [(key.start_mark.line + 1, str(key.value)) for key, _ in one.value]
            found += [key for n, key in enumerate(keys) if key[1] in {name for _, name in keys[:n]}]
            below += [value for _, value in one.value]
    if not found:
        return None
    line, key = min(found)
    return key, line


def _parts(node: yaml.Node, value: Any) -> Iterator[tuple[yaml.Node, Any]]:
    """What a document consists of: itself, or the items of a List."""
    items = value.get("items") if _is_object(value) else None
    if items is not None and str(value["kind"]).endswith("List") and isinstance(items, list):
        found = _member(node, "items")
        for index, item in enumerate(items):
            below = _entry(found[1], index) if found is not None else None
            if below is not None:
                yield from _parts(below[1], item)
    else:
        yield node, value


def _resources(documents: Iterable[tuple[str, yaml.Node, Any]]) -> dict[str, frozenset[str]]:
    """By folder with a kustomization: the files that it lists as resources."""
    return {
        _folder(file): frozenset(
            str(Path(_folder(file)) / one) for one in value.get("resources") or () if isinstance(one, str)
        )
        for file, _, value in documents
        if Path(file).name in _KUSTOMIZATIONS and isinstance(value, dict)
    }


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

"""A settings file as nodes that know where they stand: YAML, with `${VARIABLE}` expanded in its texts.

Of YAML it takes mappings, lists, texts, numbers, true/false and nothing; anchors and `<<` too; no other tags. Every problem
is noted with its line, so that one look at the file mends them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

_VARIABLE = re.compile(r"\$\$\{|\$\{(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\})?")
_STANDARD = "tag:yaml.org,2002:"
_MERGE = _STANDARD + "merge"
# A name may look like a number, a date or `on`: it stays the text that it is.
_NAMES = {_STANDARD + kind for kind in ("str", "int", "float", "bool", "timestamp")}


@dataclass(frozen=True)
class Node:
    """One value and where it comes from. `value`: a dict of nodes, a list of nodes, or a scalar.

    `flexible`: a text that may stand for a number or true/false, because it came from a variable or a flag.
    """

    value: Any
    origin: str
    flexible: bool = False
    key_origins: dict[str, str] = field(default_factory=dict)

    def plain(self) -> Any:
        """The value without its origins."""
        if isinstance(self.value, dict):
            return {name: node.plain() for name, node in self.value.items()}
        return [node.plain() for node in self.value] if isinstance(self.value, list) else self.value


class Problems:
    """What is wrong, in the order in which it was found: `add(origin, message)`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, origin: str, message: str) -> None:
        """Note one problem once."""
        line = f"{origin}: {message}" if origin else message
        if line not in self.lines:
            self.lines.append(line)


def parse(text: str, environ: Mapping[str, str], problems: Problems) -> Node:
    """The file's nodes; an empty mapping where it can't be read as YAML at all (the problem is noted)."""
    nothing = Node({}, "")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        problems.add(*_syntax(error, text.splitlines()))
        return nothing
    except yaml.YAMLError as error:
        problems.add("", f"this is no YAML text: {str(error).splitlines()[0]}")
        return nothing
    except RecursionError:
        problems.add("", "this is nested too deeply")
        return nothing
    if root is None or (isinstance(root, yaml.ScalarNode) and root.tag == _STANDARD + "null"):
        return nothing
    if not isinstance(root, yaml.MappingNode):
        problems.add(_line(root), "expected `key: value` lines at the top")
        return nothing
    return _Builder(environ, problems).build(root)


def overlay(root: Node, changes: Iterable[tuple[str, Any, str]]) -> Node:
    """The nodes with (dotted name, value, origin) put over them; a text may stand for a number."""
    for name, value, origin in changes:
        root = _with(root, name.split("."), Node(value, origin, flexible=isinstance(value, str)))
    return root


def origins(node: Node, path: str = "") -> dict[str, str]:
    """Where each dotted name below a node was set."""
    found = {path: node.origin} if path else {}
    if isinstance(node.value, dict):
        for name, inner in node.value.items():
            place = f"{path}.{name}" if path else name
            found |= origins(inner, place) | {place: node.key_origins.get(name, inner.origin)}
    return found


def _with(node: Node, path: list[str], leaf: Node) -> Node:
    if not path:
        return leaf
    values = node.value if isinstance(node.value, dict) else {}
    inner = _with(values.get(path[0], Node({}, leaf.origin)), path[1:], leaf)
    return Node({**values, path[0]: inner}, node.origin, key_origins={**node.key_origins, path[0]: leaf.origin})


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"


def _syntax(error: yaml.MarkedYAMLError, lines: list[str]) -> tuple[str, str]:
    mark = error.problem_mark or error.context_mark
    number = mark.line if mark is not None else 0
    problem = error.problem or "this is no YAML"
    if "\\t" in problem:
        problem = "a tab stands where YAML wants spaces"
    elif any("${" in line for line in lines[max(0, number - 1) : number + 1]):
        problem += '. Inside {...} and [...] put variables in quotes: "${NAME}"'
    context = f" ({error.context})" if error.context else ""
    return f"line {number + 1}", problem + context


class _Builder:
    def __init__(self, environ: Mapping[str, str], problems: Problems) -> None:
        self._environ, self._problems = environ, problems
        self._open: set[int] = set()

    def build(self, node: yaml.Node) -> Node:
        if id(node) in self._open:
            self._problems.add(_line(node), "this anchor contains itself")
            return Node(None, _line(node))
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node)
            if isinstance(node, yaml.SequenceNode):
                self._standard(node, "seq")
                return Node([self.build(item) for item in node.value], _line(node))
            assert isinstance(node, yaml.ScalarNode), "YAML has three kinds of nodes"
            return self._scalar(node)
        finally:
            self._open.discard(id(node))

    def _standard(self, node: yaml.Node, *kinds: str) -> bool:
        if node.tag in {_STANDARD + kind for kind in kinds}:
            return True
        self._problems.add(_line(node), f"the tag {node.tag.replace(_STANDARD, '!!')} can't be used here")
        return False

    def _mapping(self, node: yaml.MappingNode) -> Node:
        self._standard(node, "map")
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        origins: dict[str, str] = {}
        for key, value in node.value:
            if key.tag == _MERGE:
                for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                    built = self.build(part)
                    if isinstance(built.value, dict):
                        merged = {**built.value, **merged}
                        origins = {**built.key_origins, **origins}
                    else:
                        self._problems.add(_line(part), "`<<` takes a mapping")
            elif not isinstance(key, yaml.ScalarNode) or key.tag not in _NAMES:
                self._problems.add(_line(key), "expected a name before the colon")
            elif key.value in own:
                self._problems.add(_line(key), f"`{key.value}` stands twice: first at {origins[key.value]}")
            else:
                own[key.value] = self.build(value)
                origins[key.value] = _line(key)
        return Node({**merged, **own}, _line(node), key_origins=origins)

    def _scalar(self, node: yaml.ScalarNode) -> Node:
        text: str = node.value
        kind = node.tag.removeprefix(_STANDARD)
        if kind in ("int", "float") and ":" in text:
            kind = "str"  # YAML's numbers to base 60: nobody means them
        if kind in ("int", "float", "bool", "null") and self._standard(node, kind):
            try:
                return Node(yaml.SafeLoader("").construct_object(node), _line(node))
            except (ValueError, yaml.YAMLError):
                self._problems.add(_line(node), f"`{text}` is no {kind}")
                return Node(None, _line(node))
        if kind in ("str", "value") or self._standard(node, "timestamp"):
            expanded = self._expand(text, _line(node))
            return Node(expanded, _line(node), flexible=expanded != text)
        return Node(None, _line(node))

    def _expand(self, text: str, origin: str) -> str:
        def value(found: re.Match[str]) -> str:
            if found[0] == "$${":
                return "${"
            name, default = found["name"], found["default"]
            if name is None:
                self._problems.add(origin, "after `${` comes a variable's name and `}`; write `$${` for the characters themselves")
                return ""
            if default is not None:
                return self._environ.get(name) or default[2:]
            if name not in self._environ:
                self._problems.add(origin, f"the environment variable {name} is not set. Set it, or write ${{{name}:-a default}}")
            return self._environ.get(name, "")

        return _VARIABLE.sub(value, text)

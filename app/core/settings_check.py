"""From nodes to settings: every value checked against its type, every unknown key answered with the nearest right one."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct

from app.core.settings_file import Node, Problems

S = TypeVar("S", bound=Struct)
_WORDS = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


class Key(Struct, frozen=True):
    """One setting: its dotted name (`NAME` where you choose one), type, default and meaning, as text."""

    name: str
    type: str
    default: str
    doc: str


def nearest(word: str, known: Iterable[str]) -> str:
    """` Did you mean ...?`, or which there are where nothing is near."""
    names = sorted(known)
    close = difflib.get_close_matches(word.lower().replace("-", "_"), names, n=1, cutoff=0.6)
    if close:
        return f" Did you mean `{close[0]}`?"
    return f" There are: {', '.join(f'`{name}`' for name in names)}." if names else " There are none."


def build(kind: type[S], node: Node, problems: Problems) -> S:
    """Settings of `kind` from a node; a value that is wrong is noted and left at its default."""
    return _Check(kind, problems).struct(kind, node, "")


def keys(kind: type[Struct], prefix: str = "") -> Iterator[Key]:
    """Every setting below `kind`."""
    for name, (hint, doc) in _hints(kind).items():
        if name == "origin":
            continue
        path = f"{prefix}{name}"
        inner, several = _inner(hint)
        if inner is not None:
            yield from keys(inner, f"{path}.NAME." if several else f"{path}.")
            continue
        default = _defaults(kind)[name]
        yield Key(path, _type_words(hint), "" if default is NODEFAULT else _shown(default), doc)


def _shown(default: Any) -> str:
    return msgspec.json.encode(default).decode()


def _hints(kind: type[Struct]) -> dict[str, tuple[Any, str]]:
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        doc = ""
        if get_origin(hint) is typing.Annotated:
            doc = next((extra.description or "" for extra in get_args(hint)[1:] if isinstance(extra, Meta)), "")
        found[name] = (hint, doc)
    return found


def _defaults(kind: type[Struct]) -> dict[str, Any]:
    return {
        spec.name: spec.default
        if spec.default is not NODEFAULT
        else (spec.default_factory() if spec.default_factory is not NODEFAULT else NODEFAULT)
        for spec in msgspec.structs.fields(kind)
    }


def _bare(hint: Any) -> Any:
    return get_args(hint)[0] if get_origin(hint) is typing.Annotated else hint


def _inner(hint: Any) -> tuple[type[Struct] | None, bool]:
    """The settings type inside a field's type, and whether there may be several by name."""
    hint = _bare(hint)
    if get_origin(hint) in (types.UnionType, typing.Union):
        hint = next(arg for arg in get_args(hint) if arg is not type(None))
    if get_origin(hint) is dict:
        hint = get_args(hint)[1]
        return (hint, True) if isinstance(hint, type) and issubclass(hint, Struct) else (None, False)
    return (hint, False) if isinstance(hint, type) and issubclass(hint, Struct) else (None, False)


def _type_words(hint: Any) -> str:
    hint = _bare(hint)
    if get_origin(hint) is Literal:
        return " or ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join("null" if arg is type(None) else _type_words(arg) for arg in get_args(hint))
    if get_origin(hint) is tuple:
        return "list of texts"
    if get_origin(hint) is dict:
        return "mapping"
    return {str: "text", int: "whole number", float: "number", bool: "true or false"}.get(hint, str(hint))


class _Check:
    def __init__(self, root: type[Struct], problems: Problems) -> None:
        self._problems = problems
        self._all = [key.name for key in keys(root)]

    def struct(self, kind: type[S], node: Node, path: str) -> S:
        hints = _hints(kind)
        values: dict[str, Any] = {}
        if not isinstance(node.value, dict):
            if node.value is not None:
                self._problems.add(node.origin, f"`{path}` takes settings below it ({', '.join(hints)}), not a single value")
            return self._finished(kind, values, node, path)
        for name, inner in node.value.items():
            if name not in hints or name == "origin":
                where = node.key_origins.get(name, inner.origin)
                self._problems.add(where, f"`{_join(path, name)}` is no setting.{self._right_key(path, name, hints)}")
                continue
            value = self._value(hints[name][0], inner, _join(path, name))
            if value is not NODEFAULT:
                values[name] = value
        return self._finished(kind, values, node, path)

    def _finished(self, kind: type[S], values: dict[str, Any], node: Node, path: str) -> S:
        for name, default in _defaults(kind).items():
            if default is NODEFAULT and name not in values:
                if not isinstance(node.value, dict) or name not in node.value:
                    self._problems.add(node.origin, f"`{path}` needs `{name}`")
                values[name] = ""
        return kind(**values)

    def _value(self, hint: Any, node: Node, path: str) -> Any:
        inner, several = _inner(hint)
        if node.value is None:
            # `key:` with nothing behind it is the default, as if the line were not there.
            return None if inner is None and type(None) in get_args(_bare(hint)) else NODEFAULT
        if inner is None:
            return self._leaf(hint, node, path)
        if not several:
            return self.struct(inner, node, path)
        if not isinstance(node.value, dict):
            self._problems.add(node.origin, f"`{path}` takes names, each with its settings below it")
            return NODEFAULT
        return {name: self.struct(inner, part, f"{path}.{name}") for name, part in node.value.items()}

    def _leaf(self, hint: Any, node: Node, path: str) -> Any:
        value = node.plain()
        if node.flexible and get_origin(_bare(hint)) is tuple:
            value = [part.strip() for part in value.split(",") if part.strip()]
        try:
            return msgspec.convert(value, hint, strict=not node.flexible)
        except msgspec.ValidationError as error:
            self._problems.add(node.origin, f"`{path}`: {_in_words(str(error), hint)}")
            return NODEFAULT

    def _right_key(self, path: str, name: str, hints: Iterable[str]) -> str:
        siblings = [hint for hint in hints if hint != "origin"]
        answer = nearest(name, siblings)
        elsewhere = [key for key in self._all if key.rpartition(".")[2] == name and "NAME" not in key]
        if "Did you mean" in answer or not elsewhere:
            return answer.replace("Did you mean `", f"Did you mean `{path}." if path else "Did you mean `")
        return f" Did you mean `{elsewhere[0]}`?"


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _in_words(message: str, hint: Any) -> str:
    if get_origin(_bare(hint)) is Literal:
        return f"expected one of {', '.join(str(choice) for choice in get_args(_bare(hint)))}"
    message = re.sub(r" - at `\$[^`]*`", "", message)
    message = re.sub(
        r"`([a-z |]+)`", lambda found: " or ".join(_WORDS.get(word.strip(), word.strip()) for word in found[1].split("|")), message
    )
    quotes = " (put it in quotes)" if message.startswith("Expected text, got") else ""
    return message[:1].lower() + message[1:] + quotes

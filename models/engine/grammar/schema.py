"""A JSON schema becomes a grammar: every text that the grammar takes is JSON that fits the schema. Pure.

Where the schema leaves a choice of writing, the grammar has one: properties come in the order in which they stand, an object that
names its properties has others only where it says so (`additionalProperties`), and `oneOf` is any one of its parts. What a grammar
can't say (`not`, `uniqueItems`, ...) is refused with its place where the schema is strict, and left out where it isn't. A schema
that nothing fits is refused in any case.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn
from urllib.parse import unquote

from app.core.errors import BadRequest
from models.engine.grammar import lists, numbers, patterns
from models.engine.grammar.formats import FORMATS
from models.engine.grammar.lists import times
from models.engine.grammar.merge import REMARKS, listed, merge
from models.engine.grammar.rules import Rules, either, json_literal

_DEEPEST = 60
_MOST_REPEATS = 2000
_MOST_RULES = 20_000
_TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_TELLING = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "minLength", "maxLength", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_UNSAID = (
    *("not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies", "patternProperties", "propertyNames"),
    *("unevaluatedProperties", "unevaluatedItems", "contains", "minContains", "maxContains", "multipleOf", "uniqueItems"),
    *("minProperties", "maxProperties", "$dynamicRef", "$recursiveRef"),
)


def add(rules: Rules, schema: Any, *, strict: bool, param: str = "response_format") -> str:
    """The rules of a schema; what it becomes in the rules of others. BadRequest names the place where it can't be kept."""
    return _Reader(rules, schema, strict, param).visit(schema, "#")


def grammar(schema: Any, *, strict: bool = True, param: str = "response_format") -> str:
    """The whole grammar of a schema."""
    rules = Rules()
    rules.define("root", add(rules, schema, strict=strict, param=param))
    return rules.text


class _Impossible(Exception):
    """Nothing fits here; another alternative may."""

    def __init__(self, path: str, what: str) -> None:
        self.path, self.what = path, what
        super().__init__(path, what)


class _Reader:
    def __init__(self, rules: Rules, schema: Any, strict: bool, param: str) -> None:
        self._rules, self._root, self._strict, self._param = rules, schema, strict, param
        self._targets: dict[str, str] = {}

    def visit(self, schema: Any, path: str) -> str:
        """What a schema becomes, at the top."""
        try:
            return self._visit(schema, path, ())
        except _Impossible as error:
            self._refuse(error.path, f"{error.what}, so nothing fits")

    def _refuse(self, path: str, what: str) -> NoReturn:
        raise BadRequest(f"The schema can't be kept at {path}: {what}.", param=self._param, code="bad_schema")

    def _cannot(self, path: str, what: str) -> None:
        if self._strict:
            self._refuse(path, f"{what}, which a grammar can't say")

    def _visit(self, schema: Any, path: str, through: tuple[str, ...]) -> str:
        """`through`: the references that were followed since the last character."""
        if path.count("/") > _DEEPEST or len(self._rules) > _MOST_RULES:
            self._refuse(path, "the schema is too deep or too large")
        if isinstance(schema, bool):
            if schema:
                return self._rules.shared("value")
            raise _Impossible(path, "it is false")
        self._check(schema, path)
        schema = {key: value for key, value in schema.items() if key not in REMARKS}
        if "$ref" in schema or "allOf" in schema:
            if set(schema) == {"$ref"}:
                return self._reference(schema["$ref"], path, through)
            return self._visit(self._flat(schema, path, through), path, through)
        if schema.pop("nullable", False) is True:
            return either([self._visit(schema, path, through), self._rules.shared("null")])
        if key := next((key for key in ("anyOf", "oneOf") if key in schema), None):
            return self._any(schema, key, path, through)
        if "const" in schema or "enum" in schema:
            return self._values(schema, path)
        return self._typed(schema, path)

    def _check(self, schema: Any, path: str) -> None:
        if not isinstance(schema, Mapping):
            self._refuse(path, "a schema is an object, true or false")
        for key in _UNSAID:
            if key in schema and schema[key] not in (False, None) and not _harmless(key, schema):
                self._cannot(f"{path}/{key}", f"it has '{key}'")
        for key, kind in (("properties", dict), ("anyOf", list), ("oneOf", list), ("allOf", list), ("enum", list), ("required", list)):
            if key in schema and (not isinstance(schema[key], kind) or (kind is list and key != "required" and not schema[key])):
                self._refuse(f"{path}/{key}", f"'{key}' is {'an object' if kind is dict else 'a list that is not empty'}")
        if not all(isinstance(name, str) for name in schema.get("required", ())):
            self._refuse(f"{path}/required", "names are texts")

    def _flat(self, schema: Any, path: str, through: tuple[str, ...]) -> Any:
        """A schema without `$ref` and `allOf` of its own."""
        if not isinstance(schema, Mapping) or not ("$ref" in schema or "allOf" in schema):
            return self._as_any(schema)
        parts: list[Any] = [{key: value for key, value in schema.items() if key not in ("$ref", "allOf")}]
        if "$ref" in schema:
            pointer = schema["$ref"]
            if pointer in through:
                raise _Impossible(path, f"{pointer} refers to itself")
            parts.append(self._flat(self._resolve(pointer, path), path, (*through, pointer)))
        parts += [self._flat(part, f"{path}/allOf/{at}", through) for at, part in enumerate(schema.get("allOf", ()))]
        whole: Any = True
        for part in parts:
            whole = merge(whole, self._as_any(part), lambda what: self._cannot(path, what))
        return whole

    @staticmethod
    def _as_any(schema: Any) -> Any:
        """`oneOf` under the name of `anyOf` and `const` under that of `enum`, so that two of them can be merged."""
        if not isinstance(schema, Mapping):
            return schema
        result = {key: value for key, value in schema.items() if key not in ("oneOf", "const")}
        if "const" in schema:
            result = merge(result, {"enum": [schema["const"]]}, lambda _: None)
        if "oneOf" in schema and isinstance(result, Mapping):
            result = merge(result, {"anyOf": schema["oneOf"]}, lambda _: None)
        return result

    def _reference(self, pointer: Any, path: str, through: tuple[str, ...]) -> str:
        if pointer in through:
            raise _Impossible(path, f"{pointer} refers to itself")
        if pointer not in self._targets:
            target = self._resolve(pointer, path)
            name = self._targets[pointer] = self._rules.reserve(str(pointer).rsplit("/", 1)[-1])
            try:
                self._rules.define(name, self._visit(target, str(pointer), (*through, pointer)))
            except _Impossible:
                self._rules.define(name, '""')
                del self._targets[pointer]
                raise
        return self._targets[pointer]

    def _resolve(self, pointer: Any, path: str) -> Any:
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            self._refuse(path, f"$ref {pointer!r} does not point into this schema (#/...)")
        found = self._root
        for part in pointer.split("/")[1:]:
            key = unquote(part).replace("~1", "/").replace("~0", "~")
            inside: Any = found.get(key) if isinstance(found, Mapping) else None
            if isinstance(found, list) and key.isdecimal() and int(key) < len(found):
                inside = found[int(key)]
            if inside is None:
                self._refuse(path, f"$ref {pointer!r} points to nothing")
            found = inside
        return found

    def _any(self, schema: Mapping[str, Any], key: str, path: str, through: tuple[str, ...]) -> str:
        base = {name: value for name, value in schema.items() if name != key}
        bodies, errors = [], []
        for at, part in enumerate(schema[key]):
            place = f"{path}/{key}/{at}"
            try:
                if base:
                    part = merge(self._flat(base, path, through), self._flat(part, place, through), lambda what: self._cannot(path, what))
                bodies.append(self._visit(part, place, through))
            except _Impossible as error:
                errors.append(error)
        if not bodies:
            raise errors[0]
        return either(list(dict.fromkeys(bodies)))

    def _values(self, schema: Mapping[str, Any], path: str) -> str:
        values = schema.get("enum", [schema["const"]] if "const" in schema else [])
        if "const" in schema:
            values = [value for value in values if value == schema["const"]]
        fitting = [value for value in values if "type" not in schema or any(_is(value, name) for name in listed(schema["type"]))]
        if not fitting:
            raise _Impossible(path, "no value is of the type")
        return either(list(dict.fromkeys(map(json_literal, fitting))))

    def _typed(self, schema: Mapping[str, Any], path: str) -> str:
        names = listed(schema["type"]) if "type" in schema else [name for name in _TELLING if any(key in schema for key in _TELLING[name])]
        if not names:
            return self._rules.shared("value")
        bodies, errors = [], []
        for name in names:
            if name not in _TYPES:
                self._refuse(path, f"there is no type {name!r}")
            try:
                bodies.append(self._one(str(name), schema, path))
            except _Impossible as error:
                errors.append(error)
        if not bodies:
            raise errors[0]
        return either(bodies)

    def _one(self, name: str, schema: Mapping[str, Any], path: str) -> str:
        match name:
            case "object":
                return self._object(schema, path)
            case "array":
                return self._array(schema, path)
            case "string":
                return self._string(schema, path)
            case "number" | "integer":
                return self._number(name, schema, path)
        return self._rules.shared(name)

    def _object(self, schema: Mapping[str, Any], path: str) -> str:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required: Sequence[Any] = schema.get("required") or ()
        extra: Any = schema.get("additionalProperties", not properties)
        if extra is True and not properties and not required:
            return self._rules.shared("object")
        entries: list[tuple[str, bool]] = []
        for name, value in {**properties, **{name: extra for name in required if name not in properties}}.items():
            if (body := self._entry(str(name), value, f"{path}/properties/{name}", name in required)) is not None:
                entries.append((body, name in required))
        if extra is not False:
            value = self._visit(extra, f"{path}/additionalProperties", ())
            other = self._rules.add("other", f'"\\"" {lists.other_than([*properties, *required])} "\\"" ":" ws {value}')
            entries.append((f'{other} ("," ws {other})*', False))
        self._rules.shared("ws")
        inside = lists.entries(entries, self._rules)
        return self._rules.add(path.rsplit("/", 1)[-1] + "-object", f'"{{" ws {inside} "}}"')

    def _entry(self, name: str, schema: Any, path: str, needed: bool) -> str | None:
        """A property; None for one that can't be and need not."""
        try:
            return self._rules.add(name, f'{json_literal(name)} ":" ws {self._visit(schema, path, ())}')
        except _Impossible:
            if needed:
                raise
            return None

    def _array(self, schema: Mapping[str, Any], path: str) -> str:
        items: Any = schema.get("items", True)
        first: list[Any] = schema.get("prefixItems") or []
        if isinstance(items, list):  # as it was written before 2020
            first, items = items, schema.get("additionalItems", True)
        low, high = self._counts(schema, path, "minItems", "maxItems")
        first = first if high is None else first[:high]
        head = [self._rules.add("item", self._visit(part, f"{path}/prefixItems/{at}", ())) for at, part in enumerate(first)]
        low = max(0, low - len(head))
        high = None if high is None else high - len(head)
        self._rules.shared("ws")
        if items is False:
            if low:
                raise _Impossible(path, "it needs more items than there are")
            high = 0
        if high == 0:
            inside = ' "," ws '.join(head)
        else:
            try:
                item = self._rules.add("item", self._visit(items, f"{path}/items", ()))
            except _Impossible:
                if low:
                    raise
                inside = ' "," ws '.join(head)
            else:
                inside = self._items(head, item, low, high)
        return self._rules.add("list", f'"[" ws {inside} ws "]"')

    def _items(self, head: list[str], item: str, low: int, high: int | None) -> str:
        more = self._rules.add("more", f'"," ws {item}')
        if head:
            return ' "," ws '.join(head) + f" {more}{times(low, high)}"
        some = f"{item} {more}{times(max(0, low - 1), None if high is None else high - 1)}"
        return some if low else f"({some})?"

    def _counts(self, schema: Mapping[str, Any], path: str, least: str, most: str) -> tuple[int, int | None]:
        low, high = schema.get(least, 0), schema.get(most)
        for key, value in ((least, low), (most, high)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < 0):
                self._refuse(f"{path}/{key}", f"'{key}' is a whole number of at least 0")
        low, high = int(low), None if high is None else int(high)
        if high is not None and low > high:
            raise _Impossible(path, f"{least} is larger than {most}")
        if low > _MOST_REPEATS:
            self._refuse(f"{path}/{least}", f"a grammar counts up to {_MOST_REPEATS:,}")
        if high is not None and high > _MOST_REPEATS and most == "maxItems":
            self._cannot(f"{path}/{most}", f"it counts beyond {_MOST_REPEATS:,}")
            high = None
        return low, high

    def _string(self, schema: Mapping[str, Any], path: str) -> str:
        low, high = self._counts(schema, path, "minLength", "maxLength")
        if (source := schema.get("pattern")) is not None:
            if low or high is not None:
                self._cannot(path, "it has a pattern and a length")
            try:
                return self._rules.add("pattern", f'"\\"" ({patterns.pattern(self._rules, str(source))}) "\\""')
            except patterns.CannotSay as error:
                self._cannot(f"{path}/pattern", f"the pattern has {error}")
        if (inside := FORMATS.get(str(schema.get("format")))) is not None:
            if low or high is not None:
                self._cannot(path, "it has a format and a length")
            return self._rules.add(str(schema["format"]), f'"\\"" {inside} "\\""')
        self._rules.shared("char")
        return (
            self._rules.add("text", f'"\\"" {self._letters(low, high)} "\\""') if low or high is not None else self._rules.shared("string")
        )

    def _letters(self, low: int, high: int | None) -> str:
        if high is None or high <= _MOST_REPEATS:
            return f"char{times(low, high)}"
        block = self._rules.add("block", f"char{{{_MOST_REPEATS}}}")
        blocks, rest = divmod(high - low, _MOST_REPEATS)
        if blocks > _MOST_REPEATS // 10:
            return f"char{{{low},}}"
        free = f"({block}{{0,{max(0, blocks - 1)}}} char{{0,{_MOST_REPEATS - 1}}} | {block}{{{blocks}}} char{{0,{rest}}})"
        return (f"char{{{low}}} " if low else "") + free

    def _number(self, name: str, schema: Mapping[str, Any], path: str) -> str:
        low = self._bound(schema, path, "minimum", "exclusiveMinimum", larger=True)
        high = self._bound(schema, path, "maximum", "exclusiveMaximum", larger=False)
        if low is None and high is None:
            return self._rules.shared(name)
        if name == "integer":
            least = None if low is None else -int(-low.value // 1) + (low.out and low.value == int(low.value))
            most = None if high is None else int(high.value // 1) - (high.out and high.value == int(high.value))
            body = numbers.integer(least, most)
        else:
            body = numbers.number(low, high)
        if body is None:
            raise _Impossible(path, "no number lies between the bounds")
        return self._rules.add(name, body)

    def _bound(self, schema: Mapping[str, Any], path: str, key: str, exclusive: str, *, larger: bool) -> numbers.Bound | None:
        given = [(schema.get(key), schema.get(exclusive) is True), (schema.get(exclusive), True)]
        found: numbers.Bound | None = None
        for value, out in given:
            if value is None or isinstance(value, bool):
                continue
            try:
                bound = numbers.Bound(Decimal(str(value)), out)
                int(bound.value)
            except (InvalidOperation, ValueError, OverflowError):
                self._refuse(path, f"{value!r} is no number")
            if abs(bound.value) > Decimal(10) ** 30 or len(f"{bound.value:f}") > 60:
                self._refuse(path, f"{value!r} is out of reach")
            if found is None or (bound.value > found.value if larger else bound.value < found.value) or bound.value == found.value:
                found = bound
        return found


def _harmless(key: str, schema: Mapping[str, Any]) -> bool:
    """Whether such a word asks for nothing here."""
    value = schema[key]
    match key:
        case "multipleOf":
            return value == 1 and schema.get("type") == "integer"
        case "minProperties":
            return isinstance(value, int) and value <= len(schema.get("required") or ())
        case "uniqueItems":
            return schema.get("maxItems") in (0, 1)
        case "then" | "else":
            return "if" not in schema
    return False


def _is(value: Any, name: str) -> bool:
    match name:
        case "integer":
            return isinstance(value, int | float) and not isinstance(value, bool) and value == int(value)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
    return isinstance(value, {"string": str, "object": dict, "array": list}.get(name, ()))

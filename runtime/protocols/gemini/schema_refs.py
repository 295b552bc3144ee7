"""References inside a JSON Schema: all of them to `$defs`, which is where this vendor looks.

A reference to another place of the schema gets a definition of its own. Knows which schemas come back to themselves.
"""

from __future__ import annotations

from runtime.protocols.json_schema import Schema, is_list, is_object

__all__ = ["Refs", "UnknownReferenceError"]

_HOLDERS = ("$defs", "definitions")


class UnknownReferenceError(ValueError):
    """A reference that leads nowhere, or out of the schema. ``path`` is where it stands."""

    def __init__(self, path: str, reference: object) -> None:
        super().__init__(f"the reference {reference!r} does not lead to a place in the schema")
        self.path = path


class Refs:
    """``defs`` are the definitions, ``used`` those that what was cleaned so far refers to."""

    def __init__(self, schema: Schema) -> None:
        self.root: Schema = {key: value for key, value in schema.items() if key not in _HOLDERS}
        self.defs: dict[str, object] = {}
        self.used: set[str] = set()
        self._whole = schema
        self._names: dict[str, str] = {}
        for holder in _HOLDERS:
            members = schema.get(holder)
            for name, member in members.items() if is_object(members) else ():
                self._names[f"#/{holder}/{_escaped(name)}"] = name
                self.defs.setdefault(name, member)
        self._name_all(schema)

    def named(self, reference: object, path: str) -> str:
        """The reference as the vendor takes it. Raises UnknownReferenceError."""
        name = self._names.get(reference) if isinstance(reference, str) else None
        if name is None:
            raise UnknownReferenceError(path, reference)
        self.used.add(name)
        self._use(self.defs[name])
        return f"#/$defs/{_escaped(name)}"

    def resolve(self, schema: Schema) -> Schema:
        """``schema``, or what it refers to. Raises UnknownReferenceError for a reference that leads nowhere."""
        seen: set[str] = set()
        while isinstance(reference := schema.get("$ref"), str) and reference not in seen:
            seen.add(reference)
            name = self._names.get(reference)
            if name is None:
                raise UnknownReferenceError("$ref", reference)
            found = self.defs[name]
            schema = {**(found if is_object(found) else {}), **{k: v for k, v in schema.items() if k != "$ref"}}
        return schema

    def cyclic(self, schema: object) -> bool:
        """Whether some reference in ``schema`` leads to a definition that leads to itself."""
        return any(name in self._reach(self.defs[name]) for name in self._reach(schema))

    def _reach(self, schema: object) -> set[str]:
        reached: set[str] = set()
        waiting = [schema]
        while waiting:
            for reference in _references(waiting.pop()):
                name = self._names.get(reference)
                if name is not None and name not in reached:
                    reached.add(name)
                    waiting.append(self.defs[name])
        return reached

    def _use(self, schema: object) -> None:
        self.used |= self._reach(schema)

    def _name_all(self, schema: object) -> None:
        """Give every place that is referred to, and is no definition yet, a name."""
        waiting = list(_references(schema))
        for reference in waiting:
            if reference in self._names or not (reference == "#" or reference.startswith("#/")):
                continue
            found = self._place(reference)
            if found is None:
                continue
            name = reference.rpartition("/")[2].strip("#") or "root"
            while name in self.defs:
                name += "_"
            self._names[reference] = name
            self.defs[name] = self.root if reference == "#" else found
        for name in list(self._names.values()):
            self._names.setdefault(f"#/$defs/{_escaped(name)}", name)

    def _place(self, reference: str) -> object:
        place: object = self._whole
        for step in reference[2:].split("/") if len(reference) > 1 else ():
            key = step.replace("~1", "/").replace("~0", "~")
            if is_list(place):
                numbered = key.isascii() and key.isdecimal() and len(key) < 9
                place = place[int(key)] if numbered and int(key) < len(place) else None
            else:
                place = place.get(key) if is_object(place) else None
        return place


def _references(schema: object) -> list[str]:
    found: list[str] = []
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if is_object(value):
            reference = value.get("$ref")
            if isinstance(reference, str):
                found.append(reference)
            waiting.extend(value.values())
        elif is_list(value):
            waiting.extend(value)
    return found


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")

"""What was changed of an entry, and the entry with it: mappings merge key by key, lists and scalars are replaced whole.

In a change a key that is not there leaves the file's value, and null takes the key away. So what is written in a file later
is hidden only where the change itself says something else.
"""

from __future__ import annotations

from runtime.source import Entry, MappingNode, Node, ScalarNode

__all__ = ["difference", "merged"]


def merged(below: Node | None, change: Node) -> Node:
    """``below``, what a file says, with ``change``."""
    if not isinstance(change, MappingNode):
        return change
    kept = {entry.key: entry for entry in below.entries} if isinstance(below, MappingNode) else {}
    for entry in change.entries:
        if _is_null(entry.node):
            kept.pop(entry.key, None)
        else:
            before = kept.get(entry.key)
            kept[entry.key] = Entry(entry.key, entry.span, merged(before.node if before else None, entry.node))
    return MappingNode(tuple(kept.values()), change.span)


def difference(below: Node, wanted: Node) -> Node | None:
    """The change that makes ``wanted`` of ``below``; None where they say the same."""
    if not isinstance(below, MappingNode) or not isinstance(wanted, MappingNode):
        return None if _same(below, wanted) else wanted
    there = {entry.key: entry.node for entry in below.entries}
    kept = {entry.key for entry in wanted.entries}
    changed = [entry for entry in below.entries if entry.key not in kept]
    entries = [
        Entry(entry.key, wanted.span, ScalarNode(None, "null", plain=True, span=wanted.span)) for entry in changed
    ]
    for entry in wanted.entries:
        before = there.get(entry.key)
        change = entry.node if before is None else difference(before, entry.node)
        if change is not None:
            entries.append(Entry(entry.key, entry.span, change))
    return MappingNode(tuple(entries), wanted.span) if entries else None


def _same(one: Node, other: Node) -> bool:
    if isinstance(one, ScalarNode) and isinstance(other, ScalarNode):
        return type(one.value) is type(other.value) and one.value == other.value
    if isinstance(one, MappingNode) and isinstance(other, MappingNode):
        theirs = {entry.key: entry.node for entry in other.entries}
        keys = {entry.key for entry in one.entries}
        return keys == theirs.keys() and all(_same(entry.node, theirs[entry.key]) for entry in one.entries)
    if isinstance(one, ScalarNode | MappingNode) or isinstance(other, ScalarNode | MappingNode):
        return False
    return len(one.items) == len(other.items) and all(map(_same, one.items, other.items))


def _is_null(node: Node) -> bool:
    return isinstance(node, ScalarNode) and node.value is None

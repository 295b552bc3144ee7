"""Where each thing of a configuration was written. Knows nothing of what it means."""

from __future__ import annotations

from runtime.source import Entry, MappingNode, Node, SequenceNode, Span

__all__ = ["Positions", "read_span"]


class Positions:
    """Finds the place of a path below one root; of the nearest thing above where the path leads to nothing.

    Unlike `runtime.source.locate` it looks keys up in an index, so that checks may ask once per entry of a large map.
    """

    def __init__(self, root: Node) -> None:
        self._root = root
        self._index: dict[int, dict[str, Entry]] = {}

    def value(self, *path: str | int) -> Span:
        """The position of the value at ``path``."""
        return self._walk(path)[1]

    def key(self, *path: str | int) -> Span:
        """The position of the key that ends ``path``; of the value where ``path`` ends in a list."""
        return self._walk(path)[0]

    def node(self, *path: str | int) -> Node | None:
        """What was written at ``path``, or None."""
        return self._walk(path)[2]

    def _walk(self, path: tuple[str | int, ...]) -> tuple[Span, Span, Node | None]:
        node, key = self._root, self._root.span
        for step in path:
            if isinstance(node, MappingNode):
                entry = self._entries(node).get(str(step))
                if entry is None:
                    return key, key, None
                key, node = entry.span, entry.node
            elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
                node = node.items[step]
                key = node.span
            else:
                return key, node.span, None
        return key, node.span, node

    def _entries(self, node: MappingNode) -> dict[str, Entry]:
        found = self._index.get(id(node))
        if found is None:
            found = self._index[id(node)] = {entry.key: entry for entry in node.entries}
        return found


def read_span(text: str) -> Span:
    """The opposite of `str(span)`."""
    file, line, column = text.rsplit(":", 2)
    return Span(file, int(line), int(column))

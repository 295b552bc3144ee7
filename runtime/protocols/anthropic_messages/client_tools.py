"""Tools that the vendor's models know by a type and clients run: a shell, an editor of files, a memory.

The vendor gives its models their schemas. Other vendors' models must be told, so such a tool is a function with the known
schema in canonical; towards the vendor it is its type again.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

__all__ = ["ClientTool", "client_tool"]


class ClientTool(msgspec.Struct, frozen=True):
    name: str
    description: str
    parameters: str


_VIEW: Final = (
    '"view_range":{"type":"array","items":{"type":"integer"},"description":"For view: first and last line, from 1; '
    '-1 as the last is the end of the file."},"file_text":{"type":"string","description":"For create: the whole text."},'
    '"old_str":{"type":"string","description":"For str_replace: the text to replace, which occurs once."},'
    '"new_str":{"type":"string","description":"For str_replace: the text to put in its place."},'
    '"insert_line":{"type":"integer","description":"For insert: the line behind which to insert; 0 is the beginning."},'
    '"insert_text":{"type":"string","description":"For insert: the text to insert."}'
)

_BASH: Final = ClientTool(
    "bash",
    "Run a command in a shell that keeps its state between calls.",
    '{"type":"object","properties":{"command":{"type":"string","description":"The command to run."},'
    '"restart":{"type":"boolean","description":"Start the shell afresh instead of running a command."}}}',
)
_EDITOR: Final = ClientTool(
    "str_replace_based_edit_tool",
    "View, create and edit text files, and list directories.",
    '{"type":"object","properties":{"command":{"type":"string","enum":["view","create","str_replace","insert"],'
    '"description":"What to do."},"path":{"type":"string","description":"The file or directory."},'
    + _VIEW
    + '},"required":["command","path"]}',
)
_MEMORY: Final = ClientTool(
    "memory",
    "Keep notes that outlive this conversation as files below /memories: look there before you begin, and write down what "
    "will be of use later.",
    '{"type":"object","properties":{"command":{"type":"string",'
    '"enum":["view","create","str_replace","insert","delete","rename"],"description":"What to do."},'
    '"path":{"type":"string","description":"The file or directory; not for rename."},'
    + _VIEW
    + ',"old_path":{"type":"string","description":"For rename: the path as it is."},'
    '"new_path":{"type":"string","description":"For rename: the path as it shall be."}},"required":["command"]}',
)
_KNOWN: Final[Mapping[str, ClientTool]] = MappingProxyType({"bash": _BASH, "text_editor": _EDITOR, "memory": _MEMORY})


def client_tool(kind: str) -> ClientTool | None:
    """The tool of a dated type like `bash_20250124`; None for one that the vendor runs, or that is not known."""
    name, _, date = kind.rpartition("_")
    return _KNOWN.get(name) if date.isdecimal() else None

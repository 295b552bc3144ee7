"""Source text with positions: YAML to nodes, nodes to Structs, and the diagnostics of both compilers."""

from runtime.source.codes import CODES
from runtime.source.decode import decode, locate, plain
from runtime.source.diagnostic import Diagnostic, Diagnostics, Note, Severity, closest
from runtime.source.document import Entry, MappingNode, Node, ScalarNode, SequenceNode, parse
from runtime.source.span import Span
from runtime.source.unit import NANO_USD, Bytes, Milliseconds, NanoUsd

__all__ = [
    "CODES",
    "NANO_USD",
    "Bytes",
    "Diagnostic",
    "Diagnostics",
    "Entry",
    "MappingNode",
    "Milliseconds",
    "NanoUsd",
    "Node",
    "Note",
    "ScalarNode",
    "SequenceNode",
    "Severity",
    "Span",
    "closest",
    "decode",
    "locate",
    "parse",
    "plain",
]

"""What each kind of input file may contain, as strict Structs. A provider's is `runtime.catalog.Provider` itself."""

from codegen.spec.config import RecordSpec, SectionFile, SettingSpec
from codegen.spec.openapi import OpenApiFile
from codegen.spec.protocol import FinishTable, ProtocolFile, StreamGrammar
from codegen.spec.schema import Discriminator, Schema

__all__ = [
    "Discriminator", "FinishTable", "OpenApiFile", "ProtocolFile", "RecordSpec", "Schema", "SectionFile", "SettingSpec", "StreamGrammar",
]  # fmt: skip

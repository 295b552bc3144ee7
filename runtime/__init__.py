"""The hand-written product: what serves a compiled plan. Nothing here is generated; nothing here generates."""

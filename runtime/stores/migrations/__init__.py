"""The shape of the database, step by step. A step is never edited once it was released; see `runtime.stores.migrate`."""

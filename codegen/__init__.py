"""The schema compiler: `schemas/` in, `generated/` and `docs/reference/` out. Build time only; `runtime` never imports it."""

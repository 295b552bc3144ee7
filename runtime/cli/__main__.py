"""``python -m runtime.cli``: the same as ``gatewright``, where no console script is installed."""

import sys

from runtime.cli.program import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())

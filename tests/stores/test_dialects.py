"""What a database of one kind needs of SQLAlchemy."""

import subprocess
import sys


def test_beside_a_file_neither_another_dialect_nor_the_orm_is_loaded() -> None:
    code = (
        "import pathlib, sys, runtime.app\n"
        "from runtime.stores.database import Database, database_url\n"
        "from runtime.stores.ledger import SqlLedger\n"
        "SqlLedger(Database(database_url(None, pathlib.Path('data'))))\n"
        "print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()

    assert "sqlalchemy.dialects.sqlite" in loaded
    assert "sqlalchemy.dialects.postgresql" not in loaded
    assert "sqlalchemy.orm" not in loaded

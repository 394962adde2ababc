"""Run supervisord, and end it when its terminal is closed. Without this it restarts everything on SIGHUP."""

import signal

from supervisor import supervisord
from supervisor.options import ServerOptions


class Options(ServerOptions):  # type: ignore[misc]  # has no types
    """Options that read SIGHUP as SIGTERM."""

    def get_signal(self) -> int | None:
        """Return the next signal that arrived."""
        number: int | None = super().get_signal()
        return signal.SIGTERM if number == signal.SIGHUP else number


if __name__ == "__main__":
    supervisord.ServerOptions = Options
    supervisord.main()

"""supervisord, which ends when its terminal is closed. By itself it takes SIGHUP for a wish to start all anew."""

import signal

from supervisor import supervisord
from supervisor.options import ServerOptions


class Options(ServerOptions):  # type: ignore[misc]  # has no types
    def get_signal(self) -> int | None:
        """Return the next signal that came."""
        number: int | None = super().get_signal()
        return signal.SIGTERM if number == signal.SIGHUP else number


if __name__ == "__main__":
    supervisord.ServerOptions = Options
    supervisord.main()

"""The generator, as the process that measures sees it."""

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self, cast

ROOT = Path(__file__).parents[2]


class Generator:
    """Call it with the name of a command and its arguments, see `Load`; it returns when that is done."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._commands = cast("IO[str]", self._process.stdin)
        self._answers = cast("IO[str]", self._process.stdout)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def __call__(self, do: str, **arguments: Any) -> Any:
        self.ask(do, **arguments)
        return self.answer()

    def ask(self, do: str, **arguments: Any) -> None:
        """Send a command, and do not wait until it is done."""
        self._commands.write(json.dumps({"do": do} | arguments) + "\n")
        self._commands.flush()

    def answer(self) -> Any:
        """Return the result of the command that was sent."""
        line = self._answers.readline()
        if not line:
            raise RuntimeError("The load generator ended.")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

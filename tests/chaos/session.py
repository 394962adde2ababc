"""A run from the outside: the cluster around it, a line while it lasts, its report, and whether it holds."""

import asyncio
import os
import time
from argparse import Namespace
from pathlib import Path

from django.conf import settings
from rich.console import Console
from rich.live import Live

from tests.chaos import report
from tests.chaos.cluster import Cluster
from tests.chaos.logs import unexpected_exceptions
from tests.chaos.plan import make_plan
from tests.chaos.run import Outcome, Run
from tests.chaos.stream import Stream

HANGS_SECONDS = 240.0
"""How much longer than twice its time a run may take."""


class HangsError(Exception):
    """The run does not come to its end."""


async def hold(*, options: Namespace, folder: Path, console: Console) -> bool:
    """Go through one run and report it; return whether nothing was lost and nothing else is wrong."""
    plan = make_plan(
        seed=options.seed, seconds=options.seconds, clients=options.clients, rate=2 + options.clients / 100
    )
    with Cluster(folder=folder, reconciler=options.reconciler == "on") as cluster:
        stream = Stream(
            url=cluster.url,
            api_key=settings.API_KEYS[0],
            webhook_secret=settings.STRIPE_WEBHOOK_SECRETS[0],
            payments=plan.payments,
        )
        run = Run(plan=plan, cluster=cluster, stream=stream)
        try:
            outcome = await _watched(run, console, deadline=HANGS_SECONDS + 2 * options.seconds)
        except HangsError:
            with (folder / "stacks").open("w") as file:
                # The only trace of what hangs: the process ends without running anything else.
                for task in asyncio.all_tasks():
                    task.print_stack(file=file)
            console.print(f"FAILED: the run hangs; {folder}/stacks says where.", highlight=False)
            cluster.__exit__()
            os._exit(1)  # what hangs cannot be cancelled either
    _look_into_logs(cluster, outcome)
    report.show(outcome, console)
    if options.markdown:
        with options.markdown.open("a") as file:
            file.write("\n" + report.markdown(outcome, _title(options)))
    return outcome.verdict.holds


def _title(options: Namespace) -> str:
    """Return the command that repeats the run."""
    title = f"make chaos SECONDS={options.seconds:g} SEED={options.seed}"
    usual = {"clients": 200, "reconciler": "on"}
    unusual = {name: value for name, value in vars(options).items() if usual.get(name, value) != value}
    return " ".join([title, *(f"{name.upper()}={value}" for name, value in unusual.items())])


async def _watched(run: Run, console: Console, *, deadline: float) -> Outcome:
    """Show how the run goes; raise HangsError if it is not at its end after `deadline` seconds."""
    living = asyncio.create_task(run.live())
    began = time.monotonic()
    faults_shown = 0
    with Live(console=console, refresh_per_second=2, transient=True) as live:
        while not living.done():
            await asyncio.wait({living}, timeout=0.5)
            if time.monotonic() - began > deadline:
                raise HangsError
            live.update(report.progress(run))
            for fault in run.faults.records[faults_shown:]:
                at = fault.began - run.began
                console.print(
                    f"{at:6.1f} s  {fault.kind}, {fault.ended - fault.began:.1f} s", highlight=False
                )
                faults_shown += 1
    return await living


def _look_into_logs(cluster: Cluster, outcome: Outcome) -> None:
    for name, log in cluster.logs().items():
        outcome.verdict.wrong += [f"{name} has an exception: {line}" for line in unexpected_exceptions(log)]

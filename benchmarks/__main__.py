"""All questions, one table: `python -m benchmarks`."""

from benchmarks import contest

contest.main(
    "benchmarks.switch",
    "benchmarks.spawn",
    "benchmarks.sleepers",
    "benchmarks.events",
    "benchmarks.channels",
    "benchmarks.promises",
    "benchmarks.host_calls",
    "benchmarks.echo",
    "benchmarks.portal",
    "benchmarks.heartbeat",
    "benchmarks.preemption",
    "benchmarks.guards",
    "benchmarks.isolate",
)

"""How fast the service is, beside what a team would write by hand. docs/benchmarks.md says how to run and read it."""

"""How many files may be open: each connection is one in the generator, and one in a worker."""

import resource


def allow_files(count: int) -> None:
    """Let this process, and those that it starts, have so many open; exit with a sentence where it may not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SystemExit(f"No more than {hard} files may be open here: set `ulimit -Hn` to {count} or more.")
    if soft != resource.RLIM_INFINITY and soft < count:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))

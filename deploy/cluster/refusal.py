"""The one error of the cluster's commands."""


class Refusal(Exception):
    """The cluster cannot start or restart. The message says what to change."""

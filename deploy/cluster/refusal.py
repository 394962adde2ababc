class Refusal(Exception):
    """What the person at the terminal has to change, in a sentence."""

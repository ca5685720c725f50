"""A lock that tells when somebody comes to it, so that no test has to win a race.

Put in the place of a lock, it lets nobody past: who works without the lock does not end in `Taken`.
"""


class Taken(Exception):
    """Somebody has come to the lock."""


class Guarded:
    """A lock that cannot be had."""

    def __enter__(self) -> None:
        raise Taken

    def __exit__(self, *about: object) -> None: ...

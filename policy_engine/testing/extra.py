"""What the extra `test` brings, and the words for when it is not there."""


def missing(what: str, error: ModuleNotFoundError) -> ImportError:
    """The error of a name that needs the extra."""
    needs = f"`{what}` needs the extra `test`: pip install 'policy_engine[test]'"
    return ImportError(needs if error.name in ("pytest", "hypothesis") else str(error))

"""What is said of settings that cannot be used."""

from policy_engine.language.diagnostics import did_you_mean, one_of


class SettingsError(ValueError):
    """Settings that cannot be used: `place` is the file and key, `hint` the one thing to do."""

    def __init__(self, message: str, place: str, hint: str) -> None:
        super().__init__(f"{place}: {message}")
        self.message, self.place, self.hint = message, place, hint


def near(word: str, known: tuple[str, ...], listed: str) -> str:
    """The known word that may have been meant, else all of them."""
    return did_you_mean(word, known) or f"{listed} {one_of(known)}"


def lowered(text: str) -> str:
    """Another library's message, as ours are written."""
    return text[:1].lower() + text[1:].removesuffix(".")

"""`per …` → what an amount is counted over, for ceilings, limits and meters."""

from collections.abc import Sequence

from policy_engine.language import syntax as s
from policy_engine.language.checked import Scope
from policy_engine.language.checker.findings import Findings
from policy_engine.language.mistakes import names as name_mistakes
from policy_engine.language.mistakes import rules as mistakes
from policy_engine.language.vocabulary import EXECUTION_SCOPES, KEYS, WINDOWS


def execution_or_window(findings: Findings, keys: Sequence[s.Name]) -> Scope | None:
    """The scope of a ceiling: `attempt`, `step` or `outcome` alone, else a window and perhaps a key."""
    if len(keys) == 1 and keys[0].text in EXECUTION_SCOPES:
        return Scope(execution=keys[0].text)
    return window(findings, keys, executions=EXECUTION_SCOPES)


def window(findings: Findings, keys: Sequence[s.Name], executions: Sequence[str] = ()) -> Scope | None:
    """A window and perhaps one key. `executions` may stand alone here, so they are suggested too."""
    if len(keys) == 1:
        return _alone(findings, keys[0], executions)
    if len(keys) > 2:
        findings.add(mistakes.too_many_keys(tuple(keys)))
        return None
    key, last = keys
    if key.text in WINDOWS:
        if last.text in KEYS:
            findings.add(mistakes.window_before_key(key, last))
        elif last.text in WINDOWS:
            findings.add(mistakes.two_windows(key, last))
        else:
            findings.add(name_mistakes.unknown_key(last, findings.near(last.text, KEYS)))
        return None
    if executions and key.text in ("attempt", "step"):
        findings.add(mistakes.window_of_attempt(key, last))
        return None
    if key.text in KEYS and (last.text in KEYS or last.text in EXECUTION_SCOPES):
        findings.add(mistakes.too_many_keys(tuple(keys)))
        return None
    if key.text not in KEYS:
        findings.add(name_mistakes.unknown_key(key, findings.near(key.text, KEYS)))
    if last.text not in WINDOWS:
        findings.add(name_mistakes.unknown_window(last, findings.near(last.text, WINDOWS)))
    known = key.text in KEYS and last.text in WINDOWS
    return Scope(key=key.text, window=last.text) if known else None


def _alone(findings: Findings, only: s.Name, executions: Sequence[str]) -> Scope | None:
    if only.text in WINDOWS:
        return Scope(window=only.text)
    if only.text in KEYS:
        findings.add(mistakes.key_without_window(only))
        return None
    if only.text in EXECUTION_SCOPES:
        findings.add(name_mistakes.unknown_key(only, None))
        return None
    key = findings.near(only.text, (*executions, *KEYS))
    near_window = findings.near(only.text, WINDOWS)
    if key is not None and near_window is None:
        findings.add(name_mistakes.unknown_key(only, key))
    else:
        findings.add(name_mistakes.unknown_window(only, near_window))
    return None

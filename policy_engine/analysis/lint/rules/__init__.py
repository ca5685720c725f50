"""One lint rule per file, `lNNN_slug.py`: its docstring is its page, `RULE` says what it is, `check` finds it."""

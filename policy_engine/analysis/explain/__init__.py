"""What a policy says, in plain words: what governs an outcome, the way of a step, what a buyer is told.

A checked policy goes in, sentences and their places come out. Nothing is rounded, and nothing is said
of a rule that cannot apply.
"""

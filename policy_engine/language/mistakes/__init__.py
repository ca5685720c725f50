"""Every mistake of meaning (`P2xx`) the checker can report: one function each, by topic.

Each says what is wrong in the author's own words, where, and the one thing to do.
"""

"""`python -m policy_engine.cli`, where the program itself is not on the path."""

from policy_engine.cli import main

main()

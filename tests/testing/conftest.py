"""The goldens are test files with a mistake each: read by their own tests, and collected as tests by nobody."""

collect_ignore_glob = ["golden/*"]

"""Grading of submissions: rebuilt from the trusted lab, run in a sandbox, judged outside the kernel."""

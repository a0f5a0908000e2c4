"""What the operating system gives: files, the machine, processes, a store of files."""

MOST_THREADS = 1024
"""More are a slip of the finger."""

"""What the operating system gives: files, the machine, processes, a store of files."""

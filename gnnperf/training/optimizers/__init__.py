"""What takes the steps: the registry, and a file an optimizer of our own."""

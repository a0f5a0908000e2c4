"""What a model is trained for, a file a task."""

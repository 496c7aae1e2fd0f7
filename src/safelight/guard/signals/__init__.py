"""What shows in sequences of calls. One file, one signal."""

"""The command line, a file for each group of commands: `main` has those that need no file of their own."""

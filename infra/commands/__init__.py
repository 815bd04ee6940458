"""One module a command, named like it; each imports what it needs when it runs."""

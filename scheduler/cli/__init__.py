"""The shell's side: arguments, exit codes, Ctrl-C."""

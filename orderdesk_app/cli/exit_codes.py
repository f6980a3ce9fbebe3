"""How a command ends."""

FAILED = 1
WRONG_SETTING = 2  # or a wrong argument, as argparse has it
TAMPERED = 3  # the audit log is not what this installation has written
INTERRUPTED = 130  # 128 and the number of SIGINT, as a shell has it

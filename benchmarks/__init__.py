"""The figures that we promise, measured on this machine: `make bench`.

README.md says what each one means.
"""

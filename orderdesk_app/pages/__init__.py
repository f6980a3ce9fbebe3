"""One file, one page: its address, its place in the menu, and how it is drawn.

A page added here is on the menu, guarded and tested.
"""

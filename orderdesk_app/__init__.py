"""Order Desk agents: people and AI assistants work on Order Desk orders, safely.

Start reading in wiring.py.
"""

__version__ = "0.1.0"

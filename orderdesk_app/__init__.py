"""Order Desk agents: people and AI assistants work on Order Desk orders, safely.

Start reading in wiring/.
"""

__version__ = "0.1.0"

"""The entry point of agents: `/mcp` over HTTP and the same catalogue over stdio.

What a tool does is in tools/.
"""

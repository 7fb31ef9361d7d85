"""MCP server: the service's calls as tools for a model, installed with ``aistemsplitter[mcp]``.

The model may follow instructions that it has read in a web page or a file. So its arguments are
untrusted: the tools read and write files only in the folders that the user has chosen.
"""

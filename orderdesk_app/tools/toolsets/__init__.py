"""The tools, one file a noun. tools/catalogue.py finds every module here: nothing lists them."""

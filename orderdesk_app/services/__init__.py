"""What a person or an agent may ask of us: one family of use-cases per file.

No HTTP, no drawing, no SQL dialects.
"""

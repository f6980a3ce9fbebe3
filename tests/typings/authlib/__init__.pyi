"""What we use of authlib, which has no types of its own."""

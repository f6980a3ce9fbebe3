"""Plain HTTP: forms that carry secrets, health, metrics, and what stands around every page. No Reflex here."""

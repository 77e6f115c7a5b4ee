"""How it learns: encoders, fusion, heads, and the as-of door to samples."""

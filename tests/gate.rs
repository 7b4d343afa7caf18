//! The gate under every interleaving (loom).

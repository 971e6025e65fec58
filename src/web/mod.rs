//! The web: health, metrics and the API of a running daemon (edge: network).

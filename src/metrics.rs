//! Metrics: every name that freshen exports, and nothing else.

//! Inspecting: what a state and its manifests say, as reports that the command
//! line and the web share. Reads, never writes.

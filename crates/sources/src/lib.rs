//! What can happen: one folder per kind of event.

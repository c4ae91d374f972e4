//! How a notification travels: one folder per channel.

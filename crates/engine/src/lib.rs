//! When it happens: intake, dispatch, deliver, receipts, timers, and admin, the one way to read and change.

//! Servers that are killed, stopped, shut down, slow, or forget.

mod crash;
mod forgotten;
mod kills;
mod last_broker;
mod leaving;
mod paused;
mod slow;
mod stalled;

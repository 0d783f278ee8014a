//! What the client's own machine lacks: files, threads, memory, time. Most of them in processes of
//! their own.

mod files;
mod leftovers;
mod limits;
mod stopped;
mod threads;

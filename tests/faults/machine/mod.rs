//! Shortages of the client's machine: files, threads, memory, time. Most run in separate processes.

mod files;
mod leftovers;
mod limits;
mod stopped;
mod threads;

//! A name server and brokers inside the process, for tests and examples.

//! A consumer group, as a test sees and changes it.
pub struct Group;

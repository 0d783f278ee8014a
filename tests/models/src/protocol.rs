/// Stands for a response: models do not look into one.
#[derive(Debug)]
pub(crate) struct Command;

impl Command {
    pub(crate) fn take(&mut self) -> Command {
        Command
    }
}
